#include "arguments.h"

#include <charconv>
#include <map>
#include <nlohmann/json.hpp>

const char* const kHelp = R"(usage: client --target HOST:PORT --policy POLICY [OPTIONS]

A gRPC client for users.v1.UserService.

  --target HOST:PORT  what to dial, and the name that the server must prove
  --policy POLICY     whom to trust: insecure, skip-verify, no-ca, ca-file, system-roots, pinned,
                      skip-hostname, pinned-key, mutual-tls
  --ca FILE           for ca-file, skip-hostname and mutual-tls: the CA, PEM
  --pin FILE          for pinned and pinned-key: certificates, PEM
  --cert FILE         what to present to a server that asks, PEM, leaf first
  --key FILE          the key of its leaf, PEM
  --server-name NAME  name to check, if not the target's
  --id N              user to ask for, 1 if left out
  --token T           sent as `authorization: Bearer T`
  --timeout S         seconds, in all, 5 if left out

Or --batch: the same options as a JSON object a line on stdin. Or --version.
)";

namespace {

using Options = std::map<std::string, std::string>;

// A number, and nothing else.
template <typename Number>
Number number(const std::string& name, const std::string& text) {
  Number value{};
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || rest != end) {
    throw Usage("--" + name + ": '" + text + "' is no number, or does not fit");
  }
  return value;
}

void check_target(const std::string& target) {
  const auto colon = target.rfind(':');
  // Whatever ends a host in a URI would dial something else.
  if (colon == std::string::npos || colon == 0 ||
      target.find_first_of("/?#@ \t") != std::string::npos ||
      number<std::uint32_t>("target", target.substr(colon + 1)) > 65535) {
    throw Usage("--target: '" + target + "' is not HOST:PORT");
  }
}

Arguments of_options(const Options& options) {
  Arguments arguments;
  for (const auto& [name, value] : options) {
    if (name == "target") {
      arguments.target = value;
    } else if (name == "policy") {
      arguments.policy = value;
    } else if (name == "ca") {
      arguments.ca = value;
    } else if (name == "pin") {
      arguments.pin = value;
    } else if (name == "cert") {
      arguments.cert = value;
    } else if (name == "key") {
      arguments.key = value;
    } else if (name == "server-name") {
      arguments.server_name = value;
    } else if (name == "token") {
      arguments.token = value;
    } else if (name == "id") {
      arguments.id = number<std::int64_t>(name, value);
    } else if (name == "timeout") {
      arguments.timeout = number<double>(name, value);
    } else {
      throw Usage("there is no option --" + name);
    }
  }
  for (const char* needed : {"target", "policy"}) {
    if (options.count(needed) == 0) throw Usage(std::string("--") + needed + " is needed");
  }
  check_target(arguments.target);
  if (!(arguments.timeout > 0 && arguments.timeout <= 86400)) {
    throw Usage("--timeout: '" + options.at("timeout") + "' is no number of seconds");
  }
  if (arguments.cert.empty() != arguments.key.empty()) {
    throw Usage("--cert and --key are given together, or neither");
  }
  return arguments;
}

}  // namespace

Arguments Arguments::of_words(const std::vector<std::string>& words) {
  Options options;
  for (auto word = words.begin(); word != words.end(); ++word) {
    if (word->rfind("--", 0) != 0) throw Usage("'" + *word + "' is no option");
    const auto equals = word->find('=');
    const std::string name = word->substr(2, equals == std::string::npos ? equals : equals - 2);
    if (equals != std::string::npos) {
      options[name] = word->substr(equals + 1);
    } else if (std::next(word) != words.end()) {
      options[name] = *++word;
    } else {
      throw Usage("--" + name + ": there is no value behind it");
    }
  }
  return of_options(options);
}

Arguments Arguments::of_json(const std::string& line) {
  const auto json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) throw Usage("not a JSON object");
  Options options;
  for (const auto& [name, value] : json.items()) {
    if (value.is_string()) {
      options[name] = value.get<std::string>();
    } else if (value.is_number()) {
      options[name] = value.dump();
    } else {
      throw Usage(name + ": a string or a number is needed");
    }
  }
  return of_options(options);
}
