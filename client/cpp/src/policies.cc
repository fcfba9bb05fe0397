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
#include <set>

namespace {

using grpc::experimental::ExternalCertificateVerifier;
using grpc::experimental::IdentityKeyCertPair;
using grpc::experimental::NoOpCertificateVerifier;
using grpc::experimental::StaticDataCertificateProvider;
using grpc::experimental::TlsChannelCredentialsOptions;
using grpc::experimental::TlsCustomVerificationCheckRequest;
using Credentials = std::shared_ptr<grpc::ChannelCredentials>;

std::string read(const std::string& path, const std::string& option,
                 const std::string& what = "CERTIFICATE");
std::set<std::string> key_hashes(const std::string& pem);
grpc::SslCredentialsOptions presenting(const Arguments& arguments);
void present(TlsChannelCredentialsOptions& options, const Arguments& arguments,
             const std::string& roots = "");

// --- the policies: compare them side by side ----------------------------------------------------

// No encryption: everybody on the way reads along.
Credentials insecure(const Arguments&) { return grpc::InsecureChannelCredentials(); }

// Encryption with anybody: neither chain nor name are looked at.
Credentials skip_verify(const Arguments& arguments) {
  TlsChannelCredentialsOptions options;
  present(options, arguments);
  options.set_verify_server_certs(false);
  options.set_certificate_verifier(std::make_shared<NoOpCertificateVerifier>());
  options.set_check_call_host(false);
  return grpc::experimental::TlsCredentials(options);
}

// Verification, but no CA given: the roots of the machine, where gRPC finds them.
Credentials no_ca(const Arguments& arguments) {
  return grpc::SslCredentials(presenting(arguments));
}

// Verification with a CA file: trust what this CA has signed, and nothing else.
Credentials ca_file(const Arguments& arguments) {
  grpc::SslCredentialsOptions options = presenting(arguments);
  options.pem_root_certs = read(arguments.ca, "--ca");
  return grpc::SslCredentials(options);
}

// Verification with the machine's own roots: what gRPC does if it is told nothing.
Credentials system_roots(const Arguments& arguments) {
  return grpc::SslCredentials(presenting(arguments));
}

// Verification with the server's own certificates: trust this server, and nobody else.
Credentials pinned(const Arguments& arguments) {
  grpc::SslCredentialsOptions options = presenting(arguments);
  options.pem_root_certs = read(arguments.pin, "--pin");
  return grpc::SslCredentials(options);
}

// Half right: the chain is verified, the name is not. Any certificate of this CA will do.
Credentials skip_hostname(const Arguments& arguments) {
  TlsChannelCredentialsOptions options;
  present(options, arguments, read(arguments.ca, "--ca"));
  options.set_certificate_verifier(std::make_shared<NoOpCertificateVerifier>());
  options.set_check_call_host(false);
  return grpc::experimental::TlsCredentials(options);
}

// Says yes to some keys, by the SHA-256 of its SubjectPublicKeyInfo. That the server holds one is
// proved in the handshake, before this is asked.
class KeyVerifier : public ExternalCertificateVerifier {
 public:
  explicit KeyVerifier(std::set<std::string> pins) : pins_(std::move(pins)) {}

  bool Verify(TlsCustomVerificationCheckRequest* request, std::function<void(grpc::Status)>,
              grpc::Status* status) override {
    const auto shown = request->peer_cert();
    for (const std::string& hash : key_hashes({shown.data(), shown.size()})) {
      if (pins_.count(hash) != 0) return true;
    }
    *status = {grpc::StatusCode::UNAUTHENTICATED, "the server's key is not a pinned one"};
    return true;
  }

  void Cancel(TlsCustomVerificationCheckRequest*) override {}

 private:
  const std::set<std::string> pins_;
};

// The server's key, and nothing else: outlives the certificate.
Credentials pinned_key(const Arguments& arguments) {
  const std::set<std::string> pins = key_hashes(read(arguments.pin, "--pin"));
  if (pins.empty()) throw Usage("--pin: " + arguments.pin + " holds no key that can be read");
  TlsChannelCredentialsOptions options;
  present(options, arguments);
  options.set_verify_server_certs(false);
  options.set_certificate_verifier(ExternalCertificateVerifier::Create<KeyVerifier>(pins));
  options.set_check_call_host(false);
  return grpc::experimental::TlsCredentials(options);
}

// Verification both ways: the server must be the CA's, and sees who this client is.
Credentials mutual_tls(const Arguments& arguments) {
  if (arguments.cert.empty()) throw Usage("this policy needs --cert FILE and --key FILE");
  return ca_file(arguments);
}

// --- what they need ------------------------------------------------------------------------------

using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;
using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

Bio bio(const std::string& pem) {
  return {BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free};
}

Certificate next_certificate(const Bio& pem) {
  return {PEM_read_bio_X509(pem.get(), nullptr, nullptr, nullptr), X509_free};
}

// The hashes of the public keys of certificates; none if there is none to be read.
std::set<std::string> key_hashes(const std::string& pem) {
  std::set<std::string> hashes;
  const Bio rest = bio(pem);
  while (const Certificate certificate = next_certificate(rest)) {
    unsigned char* der = nullptr;
    const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate.get()), &der);
    if (size <= 0) continue;
    unsigned char hash[SHA256_DIGEST_LENGTH];
    SHA256(der, static_cast<std::size_t>(size), hash);
    OPENSSL_free(der);
    hashes.emplace(reinterpret_cast<char*>(hash), sizeof hash);
  }
  return hashes;
}

// What is shown to a server that asks, whomever the client trusts: key and chain, or neither.
grpc::SslCredentialsOptions presenting(const Arguments& arguments) {
  grpc::SslCredentialsOptions options;
  if (arguments.cert.empty()) return options;
  options.pem_cert_chain = read(arguments.cert, "--cert");
  options.pem_private_key = read(arguments.key, "--key", "PRIVATE KEY");
  // The core would end the process, or say of each call that it has no handshaker.
  const Certificate leaf = next_certificate(bio(options.pem_cert_chain));
  char no_password[] = "";
  const Key key(
      PEM_read_bio_PrivateKey(bio(options.pem_private_key).get(), nullptr, nullptr, no_password),
      EVP_PKEY_free);
  if (!leaf || !key || X509_check_private_key(leaf.get(), key.get()) != 1) {
    throw Usage("--cert and --key are no pair");
  }
  return options;
}

// The same for the other kind of credentials, which takes its roots by the same way.
void present(TlsChannelCredentialsOptions& options, const Arguments& arguments,
             const std::string& roots) {
  const grpc::SslCredentialsOptions own = presenting(arguments);
  std::vector<IdentityKeyCertPair> pairs;
  if (!own.pem_private_key.empty()) pairs.push_back({own.pem_private_key, own.pem_cert_chain});
  if (roots.empty() && pairs.empty()) return;
  options.set_certificate_provider(std::make_shared<StaticDataCertificateProvider>(roots, pairs));
  if (!roots.empty()) options.watch_root_certs();
  if (!pairs.empty()) options.watch_identity_key_cert_pairs();
}

// A PEM file that holds a certificate, or a key.
std::string read(const std::string& path, const std::string& option, const std::string& what) {
  if (path.empty()) throw Usage("this policy needs " + option + " FILE");
  if (std::filesystem::is_directory(path)) {
    throw Usage(option + ": cannot read " + path + ": it is a directory");
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Usage(option + ": cannot read " + path + ": " + std::strerror(errno));
  const std::string pem((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (pem.find(what + "-----") == std::string::npos) {
    throw Usage(option + ": " + path + " holds no PEM " + what);
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
    {"mutual-tls", mutual_tls},
};

}  // namespace

std::shared_ptr<grpc::ChannelCredentials> credentials(const Arguments& arguments) {
  const auto policy = kPolicies.find(arguments.policy);
  if (policy == kPolicies.end()) throw Usage("there is no policy '" + arguments.policy + "'");
  return policy->second(arguments);
}
