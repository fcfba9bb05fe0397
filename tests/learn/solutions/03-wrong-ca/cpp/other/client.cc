// Asks the server for a user.
//
// Run as: client HOST:PORT CA_FILE, in the folder above
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>

#include "users/v1/users.grpc.pb.h"

const std::string TOKEN = "opens-nothing-5ec4e703";

// The CA of all our servers until the weekend; some may still have a certificate of it.
const std::string OLD_CA_FILE = "03-wrong-ca/company-ca.pem";

// Whom this client talks to.
std::shared_ptr<grpc::ChannelCredentials> credentials(const std::string& ca_file) {
  std::ifstream file(ca_file), old_file(OLD_CA_FILE);
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = {std::istreambuf_iterator<char>(old_file), {}};
  options.pem_root_certs.append(std::istreambuf_iterator<char>(file), {});
  return grpc::SslCredentials(options);
}

grpc::Status get_user(const std::string& target, const std::string& ca_file,
                      users::v1::User* user) {
  const auto channel = grpc::CreateChannel(target, credentials(ca_file));
  grpc::ClientContext context;
  context.AddMetadata("authorization", "Bearer " + TOKEN);
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(5));
  users::v1::GetUserRequest request;
  request.set_id(1);
  return users::v1::UserService::NewStub(channel)->GetUser(&context, request, user);
}

int main(int, char** words) {
  users::v1::User user;
  const grpc::Status status = get_user(words[1], words[2], &user);
  if (!status.ok()) {
    std::cerr << status.error_message() << "\n";
    return 1;
  }
  std::cout << user.name() << " <" << user.email() << ">\n";
}
