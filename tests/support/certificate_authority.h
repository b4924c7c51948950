#pragma once

#include <filesystem>
#include <string>

namespace assertion {

// Options of `openssl ca` for one certificate. The defaults make a valid one.
struct Issuance {
  std::string extensions = "basicConstraints=critical,CA:FALSE\n";  // in addition to the request's
  std::string not_before = "20260101000000Z";
  std::string not_after = "20360101000000Z";
  std::string digest = "sha256";
};

// A certification authority run with `openssl ca`: a key, a certificate and a database of issued certificates, in a
// folder that is removed with the object. Throws when a command fails.
class CertificateAuthority {
 public:
  static constexpr const char* kRsa = "rsa -pkeyopt rsa_keygen_bits:2048";
  static constexpr const char* kEc = "ec -pkeyopt ec_paramgen_curve:P-256";
  static constexpr const char* kCa = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n";

  // A self-signed root. `key` is the argument of `openssl genpkey -algorithm`.
  CertificateAuthority(const std::string& name, const std::string& key, Issuance issuance = {.extensions = kCa});

  // An intermediate authority below `issuer`.
  CertificateAuthority(const std::string& name, const std::string& key, CertificateAuthority& issuer,
                       const Issuance& issuance = {.extensions = kCa});

  ~CertificateAuthority();
  CertificateAuthority(const CertificateAuthority&) = delete;
  CertificateAuthority& operator=(const CertificateAuthority&) = delete;

  const std::string& certificate() const { return certificate_; }  // PEM
  const std::filesystem::path& directory() const { return directory_; }

  // The certificate for a PKCS#10 request, both in PEM. Copies the request's names and extensions.
  std::string Sign(const std::string& csr, const Issuance& issuance = {}, const std::string& options = "");

  // Another certificate for the authority's own key, signed by that key.
  std::string SignItself(const Issuance& issuance);

  // A request for a new key. `subject` as in `openssl req -subj`. The key is stored in directory() / "other.key".
  std::string RequestFor(const std::string& subject, const std::string& key = kRsa);

  // The authority's own request.
  std::string Request();

  // Runs the command in directory() and returns its standard output.
  std::string Run(const std::string& command) const;

  std::string Read(const std::string& file) const;
  void Write(const std::string& file, const std::string& content) const;

 private:
  void Found(const std::string& name, const std::string& key);

  std::filesystem::path directory_;
  std::string certificate_;
};

}  // namespace assertion
