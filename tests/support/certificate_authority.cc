#include "certificate_authority.h"

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace assertion {
namespace {

constexpr const char* kConfiguration = R"(
[ca]
default_ca = authority
[authority]
dir = .
database = index.txt
rand_serial = yes
unique_subject = no
new_certs_dir = .
certificate = ca.pem
private_key = ca.key
policy = anything
preserve = yes
copy_extensions = copy
[anything]
commonName = optional
organizationName = optional
organizationalUnitName = optional
countryName = optional
stateOrProvinceName = optional
localityName = optional
domainComponent = optional
serialNumber = optional
emailAddress = optional
[req]
distinguished_name = none
[none]
)";

std::filesystem::path MakeDirectory() {
  auto path = (std::filesystem::temp_directory_path() / "assertion-ca-XXXXXX").string();
  if (mkdtemp(path.data()) == nullptr) {
    throw std::runtime_error("mkdtemp");
  }
  return path;
}

}  // namespace

CertificateAuthority::CertificateAuthority(const std::string& name, const std::string& key, Issuance issuance)
    : directory_(MakeDirectory()) {
  Found(name, key);
  certificate_ = SignItself(issuance);
  Write("ca.pem", certificate_);
}

CertificateAuthority::CertificateAuthority(const std::string& name, const std::string& key,
                                           CertificateAuthority& issuer, const Issuance& issuance)
    : directory_(MakeDirectory()) {
  Found(name, key);
  certificate_ = issuer.Sign(Request(), issuance);
  Write("ca.pem", certificate_);
}

CertificateAuthority::~CertificateAuthority() { std::filesystem::remove_all(directory_); }

void CertificateAuthority::Found(const std::string& name, const std::string& key) {
  Write("openssl.cnf", kConfiguration);
  Write("index.txt", "");
  Run("openssl genpkey -algorithm " + key + " -out ca.key");
  Run("openssl req -new -config openssl.cnf -key ca.key -subj '/O=Test/CN=" + name + "' -out ca.csr");
}

std::string CertificateAuthority::Sign(const std::string& csr, const Issuance& issuance, const std::string& options) {
  Write("request.csr", csr);
  Write("extensions.cnf", issuance.extensions);
  Run("openssl ca -config openssl.cnf -batch -notext -in request.csr -out issued.pem -extfile extensions.cnf -md " +
      issuance.digest + " -startdate " + issuance.not_before + " -enddate " + issuance.not_after + " " + options);
  return Read("issued.pem");
}

std::string CertificateAuthority::SignItself(const Issuance& issuance) {
  return Sign(Request(), issuance, "-selfsign -keyfile ca.key");
}

std::string CertificateAuthority::RequestFor(const std::string& subject, const std::string& key) {
  Run("openssl genpkey -algorithm " + key + " -out other.key");
  Run("openssl req -new -config openssl.cnf -key other.key -subj '" + subject + "' -out other.csr");
  return Read("other.csr");
}

std::string CertificateAuthority::Request() { return Read("ca.csr"); }

std::string CertificateAuthority::Run(const std::string& command) const {
  const auto shell = "cd '" + directory_.string() + "' && " + command + " > stdout 2> stderr";
  if (std::system(shell.c_str()) != 0) {
    throw std::runtime_error(command + ": " + Read("stderr"));
  }
  return Read("stdout");
}

std::string CertificateAuthority::Read(const std::string& file) const {
  std::ostringstream content;
  content << std::ifstream(directory_ / file, std::ios::binary).rdbuf();
  return content.str();
}

void CertificateAuthority::Write(const std::string& file, const std::string& content) const {
  std::ofstream(directory_ / file, std::ios::binary) << content;
}

}  // namespace assertion
