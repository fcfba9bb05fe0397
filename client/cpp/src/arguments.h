// What the client is told: options on the command line, or the same as JSON.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

// What is wrong with what the client was told, in one line.
struct Usage : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Arguments {
  std::string target;
  std::string policy;
  std::string ca;
  std::string pin;
  std::string cert;
  std::string key;
  std::string server_name;
  std::string token;
  std::int64_t id = 1;
  double timeout = 5.0;

  // Of a command line. Throws Usage.
  static Arguments of_words(const std::vector<std::string>& words);

  // Of a JSON object: each key is an option without its dashes. Throws Usage.
  static Arguments of_json(const std::string& line);
};

extern const char* const kHelp;
