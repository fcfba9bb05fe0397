#include "policies.h"

#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

namespace {

using grpc::experimental::ExternalCertificateVerifier;
using grpc::experimental::NoOpCertificateVerifier;
using grpc::experimental::StaticDataCertificateProvider;
using grpc::experimental::TlsChannelCredentialsOptions;
using grpc::experimental::TlsCustomVerificationCheckRequest;
using Credentials = std::shared_ptr<grpc::ChannelCredentials>;

std::string read(const std::string& path, const std::string& option);
std::string key_hash(const std::string& pem);

// --- the policies: compare them side by side ----------------------------------------------------

// No encryption: everybody on the way reads along.
Credentials insecure(const Arguments&) { return grpc::InsecureChannelCredentials(); }

// Encryption with anybody: neither chain nor name are looked at.
Credentials skip_verify(const Arguments&) {
  TlsChannelCredentialsOptions options;
  options.set_verify_server_certs(false);
  options.set_certificate_verifier(std::make_shared<NoOpCertificateVerifier>());
  options.set_check_call_host(false);
  return grpc::experimental::TlsCredentials(options);
}

// Verification, but no CA given: the roots of the machine, where gRPC finds them.
Credentials no_ca(const Arguments&) { return grpc::SslCredentials({}); }

// Verification with a CA file: trust what this CA has signed, and nothing else.
Credentials ca_file(const Arguments& arguments) {
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = read(arguments.ca, "--ca");
  return grpc::SslCredentials(options);
}

// Verification with the machine's own roots: what gRPC does if it is told nothing.
Credentials system_roots(const Arguments&) { return grpc::SslCredentials({}); }

// Verification with the server's own certificate: trust this server, and nobody else.
Credentials pinned(const Arguments& arguments) {
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = read(arguments.pin, "--pin");
  return grpc::SslCredentials(options);
}

// Half right: the chain is verified, the name is not. Any certificate of this CA will do.
Credentials skip_hostname(const Arguments& arguments) {
  TlsChannelCredentialsOptions options;
  options.set_certificate_provider(
      std::make_shared<StaticDataCertificateProvider>(read(arguments.ca, "--ca")));
  options.watch_root_certs();
  options.set_certificate_verifier(std::make_shared<NoOpCertificateVerifier>());
  options.set_check_call_host(false);
  return grpc::experimental::TlsCredentials(options);
}

// Says yes to one key, by the SHA-256 of its SubjectPublicKeyInfo. That the server holds it is
// proved in the handshake, before this is asked.
class KeyVerifier : public ExternalCertificateVerifier {
 public:
  explicit KeyVerifier(std::string pin) : pin_(std::move(pin)) {}

  bool Verify(TlsCustomVerificationCheckRequest* request, std::function<void(grpc::Status)>,
              grpc::Status* status) override {
    const auto shown = request->peer_cert();
    if (key_hash({shown.data(), shown.size()}) != pin_) {
      *status = {grpc::StatusCode::UNAUTHENTICATED, "the server's key is not the pinned one"};
    }
    return true;
  }

  void Cancel(TlsCustomVerificationCheckRequest*) override {}

 private:
  const std::string pin_;
};

// The server's key, and nothing else: outlives the certificate.
Credentials pinned_key(const Arguments& arguments) {
  const std::string pin = key_hash(read(arguments.pin, "--pin"));
  if (pin.empty()) throw Usage("--pin: " + arguments.pin + " holds no key that can be read");
  TlsChannelCredentialsOptions options;
  options.set_verify_server_certs(false);
  options.set_certificate_verifier(ExternalCertificateVerifier::Create<KeyVerifier>(pin));
  options.set_check_call_host(false);
  return grpc::experimental::TlsCredentials(options);
}

// --- what they need ------------------------------------------------------------------------------

// The hash of a certificate's public key; empty if there is none to be read.
std::string key_hash(const std::string& pem) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free);
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(
      PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr), X509_free);
  if (!certificate) return "";
  unsigned char* der = nullptr;
  const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate.get()), &der);
  if (size <= 0) return "";
  unsigned char hash[SHA256_DIGEST_LENGTH];
  SHA256(der, static_cast<std::size_t>(size), hash);
  OPENSSL_free(der);
  return {reinterpret_cast<char*>(hash), sizeof hash};
}

// A PEM file that holds a certificate.
std::string read(const std::string& path, const std::string& option) {
  if (path.empty()) throw Usage("this policy needs " + option + " FILE");
  if (std::filesystem::is_directory(path)) {
    throw Usage(option + ": cannot read " + path + ": it is a directory");
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Usage(option + ": cannot read " + path + ": " + std::strerror(errno));
  const std::string pem((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (pem.find("-----BEGIN CERTIFICATE-----") == std::string::npos) {
    throw Usage(option + ": " + path + " holds no PEM certificate");
  }
  return pem;
}

const std::map<std::string, Credentials (*)(const Arguments&)> kPolicies = {
    {"insecure", insecure},
    {"skip-verify", skip_verify},
    {"no-ca", no_ca},
    {"ca-file", ca_file},
    {"system-roots", system_roots},
    {"pinned", pinned},
    {"skip-hostname", skip_hostname},
    {"pinned-key", pinned_key},
};

}  // namespace

std::shared_ptr<grpc::ChannelCredentials> credentials(const Arguments& arguments) {
  const auto policy = kPolicies.find(arguments.policy);
  if (policy == kPolicies.end()) throw Usage("there is no policy '" + arguments.policy + "'");
  return policy->second(arguments);
}
