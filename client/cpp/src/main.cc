// A gRPC client in C++. How it decides whom to trust is one short function a policy: policies.cc.
//
// Contract: ../README.md. Output is one JSON line; exit code 0, 1 if the call failed, 2 wrong
// usage.

#include <grpcpp/grpcpp.h>
#include <openssl/crypto.h>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "arguments.h"
#include "policies.h"
#include "users/v1/users.grpc.pb.h"

namespace {

using nlohmann::ordered_json;

constexpr const char* kCodes[] = {
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};

std::shared_ptr<grpc::Channel> dial(const Arguments& arguments) {
  grpc::ChannelArguments options;
  // Each channel has a connection of its own, which ends with it.
  options.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  if (!arguments.server_name.empty()) {
    // Checked like a name that is dialled; SetSslTargetNameOverride is checked less strictly.
    options.SetString(GRPC_ARG_DEFAULT_AUTHORITY, arguments.server_name);
  }
  return grpc::CreateCustomChannel(arguments.target, credentials(arguments), options);
}

// Asks the server for a user, with the token that identifies this client. Throws Usage.
ordered_json answer(const Arguments& arguments) {
  const auto seconds = std::chrono::duration<double>(arguments.timeout);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::duration_cast<std::chrono::system_clock::duration>(seconds));
  if (!arguments.token.empty()) context.AddMetadata("authorization", "Bearer " + arguments.token);
  users::v1::GetUserRequest request;
  request.set_id(arguments.id);
  users::v1::User user;
  const auto stub = users::v1::UserService::NewStub(dial(arguments));
  const grpc::Status status = stub->GetUser(&context, request, &user);
  if (status.ok()) {
    return {{"user", {{"id", user.id()}, {"name", user.name()}, {"email", user.email()}}}};
  }
  const auto code = static_cast<std::size_t>(status.error_code());
  const char* name = code < std::size(kCodes) ? kCodes[code] : "UNKNOWN";
  return {{"error", {{"code", name}, {"message", status.error_message()}}}};
}

void print(const ordered_json& line) {
  // What a server says may be no UTF-8.
  std::cout << line.dump(-1, ' ', false, ordered_json::error_handler_t::replace) << std::endl;
}

// One call a line of stdin, one after the other, each over a channel of its own.
void batch() {
  for (std::string line; std::getline(std::cin, line);) {
    try {
      print(answer(Arguments::of_json(line)));
    } catch (const Usage& usage) {
      print({{"usage", {{"message", usage.what()}}}});
    }
  }
}

int run(const std::vector<std::string>& words) {
  if (words == std::vector<std::string>{"--version"}) {
    std::cout << "grpc++ " << grpc::Version() << ", openssl "
              << OpenSSL_version(OPENSSL_VERSION_STRING) << std::endl;
  } else if (words == std::vector<std::string>{"--batch"}) {
    batch();
  } else if (words == std::vector<std::string>{"--help"}) {
    std::cout << kHelp;
  } else {
    const auto answered = answer(Arguments::of_words(words));
    print(answered);
    return answered.contains("user") ? 0 : 1;
  }
  return 0;
}

}  // namespace

int main(int count, char** words) {
  // The C core's own log lines are not meant for the person at the terminal.
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
  try {
    return run({words + 1, words + count});
  } catch (const Usage& usage) {
    std::cerr << "client: " << usage.what() << std::endl;
    return 2;
  }
}
