#include "x509/certifier.h"

#include <openssl/conf.h>
#include <openssl/crypto.h>
#include <openssl/provider.h>
#include <openssl/rand.h>
#include <openssl/store.h>
#include <openssl/x509v3.h>

#include <array>

#include "x509/certificate.h"
#include "x509/openssl.h"
#include "x509/verifier.h"

namespace assertion::x509 {
namespace {

// no-deinit: the provider would finalise the module under the other users of this process. cache-keys: it would copy
// private keys into session objects.
std::string ProviderConfiguration(const std::string& module_path) {
  return "openssl_conf = init\n"
         "[init]\n"
         "providers = provider_list\n"
         "[provider_list]\n"
         "default = default_provider\n"
         "pkcs11 = pkcs11_provider\n"
         "[default_provider]\n"
         "activate = 1\n"
         "[pkcs11_provider]\n"
         "activate = 1\n"
         "pkcs11-module-quirks = no-deinit\n"
         "pkcs11-module-cache-keys = false\n"
         "pkcs11-module-path = " +
         module_path + "\n";
}

Error OpenSslError(const char* call) {
  return Error{Code::kInternal, "the certificate could not be made", std::string(call) + ": " + TakeErrors()};
}

Result<KeyPtr> LoadPrivateKey(OSSL_LIB_CTX* context, const std::string& uri) {
  const std::unique_ptr<OSSL_STORE_CTX, Deleter<OSSL_STORE_close>> store(
      OSSL_STORE_open_ex(uri.c_str(), context, "provider=pkcs11", nullptr, nullptr, nullptr, nullptr, nullptr));
  if (!store) {
    return std::unexpected(OpenSslError("OSSL_STORE_open_ex"));
  }
  while (OSSL_STORE_eof(store.get()) == 0) {
    const std::unique_ptr<OSSL_STORE_INFO, Deleter<OSSL_STORE_INFO_free>> info(OSSL_STORE_load(store.get()));
    if (info && OSSL_STORE_INFO_get_type(info.get()) == OSSL_STORE_INFO_PKEY) {
      return KeyPtr(OSSL_STORE_INFO_get1_PKEY(info.get()));
    }
  }
  return std::unexpected(OpenSslError("OSSL_STORE_load"));
}

bool SetRandomSerial(X509* certificate) {
  // RFC 5280 section 4.1.2.2: positive, at most 20 octets.
  std::array<unsigned char, 20> octets{};
  if (RAND_bytes(octets.data(), octets.size()) != 1) {
    return false;
  }
  octets[0] = (octets[0] & 0x7FU) | 0x40U;
  const BignumPtr number(BN_bin2bn(octets.data(), octets.size(), nullptr));
  return number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

bool AddExtension(X509* certificate, X509V3_CTX* context, int nid, const char* value) {
  const std::unique_ptr<X509_EXTENSION, Deleter<X509_EXTENSION_free>> extension(
      X509V3_EXT_conf_nid(nullptr, context, nid, value));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool Describe(X509* certificate, const SelfSignedRequest& request, EVP_PKEY* public_key) {
  auto* name = X509_get_subject_name(certificate);
  const auto* common_name = reinterpret_cast<const unsigned char*>(request.common_name.c_str());
  X509V3_CTX context;
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  return X509_set_version(certificate, X509_VERSION_3) == 1 && SetRandomSerial(certificate) &&
         X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, common_name,
                                    static_cast<int>(request.common_name.size()), -1, 0) == 1 &&
         X509_set_issuer_name(certificate, name) == 1 &&
         ASN1_TIME_set(X509_getm_notBefore(certificate), request.not_before.time_since_epoch().count()) != nullptr &&
         ASN1_TIME_set(X509_getm_notAfter(certificate), request.not_after.time_since_epoch().count()) != nullptr &&
         X509_set_pubkey(certificate, public_key) == 1 &&
         AddExtension(certificate, &context, NID_basic_constraints, "critical,CA:FALSE") &&
         AddExtension(certificate, &context, NID_key_usage, "critical,digitalSignature") &&
         AddExtension(certificate, &context, NID_subject_key_identifier, "hash");
}

}  // namespace

Result<std::unique_ptr<Certifier>> Certifier::New(const std::string& module_path) {
  std::unique_ptr<Certifier> certifier(new Certifier(OSSL_LIB_CTX_new()));
  const std::unique_ptr<CONF, Deleter<NCONF_free>> conf(NCONF_new_ex(certifier->context_, nullptr));
  const auto text = ProviderConfiguration(module_path);
  const BioPtr bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  long line = 0;
  if (certifier->context_ == nullptr || !conf || !bio || NCONF_load_bio(conf.get(), bio.get(), &line) != 1 ||
      CONF_modules_load(conf.get(), nullptr, 0) <= 0 || OSSL_PROVIDER_available(certifier->context_, "pkcs11") != 1) {
    return Fail(Code::kModuleUnusable, "OpenSSL cannot load its provider 'pkcs11': install pkcs11-provider",
                "CONF_modules_load: " + TakeErrors());
  }
  return certifier;
}

Certifier::~Certifier() { OSSL_LIB_CTX_free(context_); }

Result<NewCertificate> Certifier::SelfSign(const SelfSignedRequest& request) const {
  const auto private_key = LoadPrivateKey(context_, request.private_key_uri);
  if (!private_key) {
    return std::unexpected(private_key.error());
  }
  const auto public_key = ToOpenSsl(request.public_key);
  const X509Ptr certificate(X509_new_ex(context_, nullptr));
  const std::unique_ptr<EVP_MD_CTX, Deleter<EVP_MD_CTX_free>> signing(EVP_MD_CTX_new());
  if (!public_key || !certificate || !signing || !Describe(certificate.get(), request, public_key.get())) {
    return std::unexpected(OpenSslError("X509"));
  }
  if (EVP_DigestSignInit_ex(signing.get(), nullptr, std::string(request.algorithm->digest).c_str(), context_, nullptr,
                            private_key->get(), nullptr) != 1 ||
      X509_sign_ctx(certificate.get(), signing.get()) <= 0) {
    return std::unexpected(OpenSslError("X509_sign_ctx"));
  }

  Bytes der(static_cast<std::size_t>(i2d_X509(certificate.get(), nullptr)));
  auto* out = der.data();
  i2d_X509(certificate.get(), &out);
  // Checked in the default context with the public key that was read from the token.
  const auto* in = const_cast<const unsigned char*>(der.data());
  const X509Ptr again(d2i_X509(nullptr, &in, static_cast<long>(der.size())));
  if (!again || X509_verify(again.get(), public_key.get()) != 1) {
    return std::unexpected(OpenSslError("X509_verify"));
  }
  auto parsed = ParseCertificate(der);
  if (!parsed) {
    return std::unexpected(parsed.error());
  }
  const unsigned char* name = nullptr;
  std::size_t name_size = 0;
  if (X509_NAME_get0_der(X509_get_subject_name(again.get()), &name, &name_size) != 1) {
    return std::unexpected(OpenSslError("X509_NAME_get0_der"));
  }
  return NewCertificate{.certificate = std::move(*parsed), .subject = Bytes(name, name + name_size)};
}

}  // namespace assertion::x509
