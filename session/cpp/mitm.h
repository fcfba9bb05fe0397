// Tries forged certificates on the client of your own tests, one parameterised test for each. Copy
// this beside them (C++14, POSIX), and run them by mitm-demo audit --session -- ./my_test
//
//   using TlsTest = mitm::Test;
//   TEST_P(TlsTest, ChecksTheServer) {
//     grpc::Status status = GetUser(GetParam().target, GetParam().ca);
//     Judge(status.ok(), status.error_message());
//   }
//   INSTANTIATE_TEST_SUITE_P(Mitm, TlsTest, testing::ValuesIn(mitm::Cases()), mitm::Name);
#pragma once
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

namespace mitm {

// One certificate, or one attack, that is presented on a port of its own.
struct Case {
  std::string name, title, target, ca;    // target: host:port to dial; ca: file of the CA to trust
  std::string expect, severity, problem;  // accept or reject; must, should or info; ok or else
  std::string pin, server_name;           // file of the genuine certificate; the name to expect
};
inline std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.title; }

// Makes a request of the session, over a socket of its own. Answers "fail" and why, if it is gone.
inline std::string Ask(std::string method, std::string path, std::string body) {
  if (!std::getenv("MITM_SESSION")) return "skip\nrun it by mitm-demo audit --session -- ./my_test";
  char token[256] = "", part[4096];
  unsigned short port = 0;
  std::sscanf(std::getenv("MITM_SESSION"), "http://127.0.0.1:%hu/%255s", &port, token);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  const std::string request =
      method + " /" + token + path + " HTTP/1.0\r\nHost: 127.0.0.1:" + std::to_string(port) +
      "\r\nAccept: text/plain\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: " +
      std::to_string(body.size()) + "\r\n\r\n" + body;
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  const timeval minute{60, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &minute, sizeof minute);
  std::string answer;
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
      write(fd, request.data(), request.size()) > 0)
    for (ssize_t n; (n = read(fd, part, sizeof part)) > 0;) answer.append(part, n);
  close(fd);
  if (answer.find(" 200 ") == 8) return answer.substr(answer.find("\r\n\r\n") + 4);
  return "fail\nmitm-demo does not answer: run this by mitm-demo audit --session\n" + answer;
}

// What is presented; if nothing is, a case with a problem in the place of a target.
inline std::vector<Case> Cases() {
  const std::string index = Ask("GET", "/cases.tsv", "");
  std::istringstream lines(index);
  std::vector<Case> cases;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    Case c;
    for (auto* field : {&c.name, &c.target, &c.ca, &c.expect, &c.severity, &c.title, &c.pin})
      std::getline(fields, *field, '\t');
    std::getline(fields, c.server_name);
    c.problem = c.target.empty() ? index : "ok";
    cases.push_back(c);
    if (c.target.empty()) break;
  }
  return cases;
}

inline std::string Name(const testing::TestParamInfo<Case>& info) {
  std::string name = info.param.name;
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return name;
}

struct Test : testing::TestWithParam<Case> {
  void SetUp() override { Conclude(GetParam().problem); }

  // Goes by what the client sent: whether its call succeeded is only quoted. Catch what it throws.
  void Judge(bool succeeded, const std::string& error) {
    std::ostringstream path;
    path << "/cases/" << std::hex;
    for (unsigned char c : GetParam().name) path << '%' << c / 16 << c % 16;
    Conclude(Ask("POST", path.str() + "/judge", succeeded ? "" : "failed: " + error));
  }
  static void Conclude(const std::string& answer) {
    if (answer.compare(0, 5, "skip\n") == 0) GTEST_SKIP() << answer.substr(5);
    if (answer.compare(0, 2, "ok") != 0) FAIL() << answer.substr(answer.find('\n') + 1);
  }
};

}  // namespace mitm
