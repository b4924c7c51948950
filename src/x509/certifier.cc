#include "x509/certifier.h"

#include <openssl/conf.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/rand.h>
#include <openssl/store.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "x509/certificate.h"
#include "x509/distinguished_name.h"
#include "x509/general_name.h"
#include "x509/openssl.h"
#include "x509/pem.h"
#include "x509/verifier.h"

namespace assertion::x509 {
namespace {

using DigestContextPtr = std::unique_ptr<EVP_MD_CTX, Deleter<EVP_MD_CTX_free>>;
using GeneralNamesPtr = std::unique_ptr<GENERAL_NAMES, Deleter<GENERAL_NAMES_free>>;
using RequestPtr = std::unique_ptr<X509_REQ, Deleter<X509_REQ_free>>;

constexpr std::size_t kMostAlternativeNames = 100;
constexpr const char* kKeyUsage = "critical,digitalSignature";

// p11-kit's proxy and client: every C_GetFunctionList is another list, which C_Initialize and C_Finalize begin and end
// alone. A list that is never ended keeps the proxy on a connection that is lost, whatever the others do.
bool EndsOnlyItsOwnList(std::string_view module_path) {
  const auto file = module_path.substr(module_path.rfind('/') + 1);
  return file == "p11-kit-proxy.so" || file == "p11-kit-client.so";
}

// A value for OpenSSL's configuration, in which a backslash makes any other character than a letter plain.
std::string Quoted(std::string_view text) {
  std::string quoted;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c & 0x80) != 0;
    quoted.append(plain ? "" : "\\").push_back(c);
  }
  return quoted;
}

// no-deinit: the provider would finalise the module under the other users of this process. cache-keys: it would copy
// private keys into session objects.
std::string ProviderConfiguration(const std::string& module_path, const std::string& init_args) {
  const std::string quirks = EndsOnlyItsOwnList(module_path) ? "" : "pkcs11-module-quirks = no-deinit\n";
  return "openssl_conf = init\n"
         "[init]\n"
         "providers = provider_list\n"
         "[provider_list]\n"
         "default = default_provider\n"
         "pkcs11 = pkcs11_provider\n"
         "[default_provider]\n"
         "activate = 1\n"
         "[pkcs11_provider]\n"
         "activate = 1\n" +
         quirks + "pkcs11-module-cache-keys = false\n" +
         (init_args.empty() ? "" : "pkcs11-module-init-args = " + Quoted(init_args) + "\n") +
         "pkcs11-module-path = " + module_path + "\n";
}

using ContextPtr = std::unique_ptr<OSSL_LIB_CTX, Deleter<OSSL_LIB_CTX_free>>;

Result<ContextPtr> LoadProvider(const std::string& module_path, const std::string& init_args) {
  ContextPtr context(OSSL_LIB_CTX_new());
  const std::unique_ptr<CONF, Deleter<NCONF_free>> conf(NCONF_new_ex(context.get(), nullptr));
  const auto text = ProviderConfiguration(module_path, init_args);
  const BioPtr bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  long line = 0;
  if (!context || !conf || !bio || NCONF_load_bio(conf.get(), bio.get(), &line) != 1 ||
      CONF_modules_load(conf.get(), nullptr, 0) <= 0 || OSSL_PROVIDER_available(context.get(), "pkcs11") != 1) {
    return Fail(Code::kModuleUnusable, "OpenSSL cannot load its provider 'pkcs11': install pkcs11-provider",
                "CONF_modules_load: " + TakeErrors());
  }
  return context;
}

Error OpenSslError(const char* call) {
  return Error{Code::kInternal, "OpenSSL could not make the certificate or request",
               std::string(call) + ": " + TakeErrors()};
}

// All that the URI matches: anybody may put another key under the CKA_ID of ours, without a PIN.
Result<std::vector<KeyPtr>> LoadPrivateKeys(OSSL_LIB_CTX* context, const std::string& uri) {
  const std::unique_ptr<OSSL_STORE_CTX, Deleter<OSSL_STORE_close>> store(
      OSSL_STORE_open_ex(uri.c_str(), context, "provider=pkcs11", nullptr, nullptr, nullptr, nullptr, nullptr));
  if (!store) {
    return std::unexpected(OpenSslError("OSSL_STORE_open_ex"));
  }
  std::vector<KeyPtr> keys;
  while (OSSL_STORE_eof(store.get()) == 0) {
    const std::unique_ptr<OSSL_STORE_INFO, Deleter<OSSL_STORE_INFO_free>> info(OSSL_STORE_load(store.get()));
    if (info && OSSL_STORE_INFO_get_type(info.get()) == OSSL_STORE_INFO_PKEY) {
      keys.emplace_back(OSSL_STORE_INFO_get1_PKEY(info.get()));
    }
  }
  return keys.empty() ? std::unexpected(OpenSslError("OSSL_STORE_load")) : Result<std::vector<KeyPtr>>(std::move(keys));
}

// Ready to sign with the key, which lives as long as the context.
Result<DigestContextPtr> StartSigning(OSSL_LIB_CTX* context, EVP_PKEY* key, const Algorithm& algorithm) {
  DigestContextPtr signing(EVP_MD_CTX_new());
  const std::string digest(algorithm.digest == nullptr ? "" : algorithm.digest->name);
  EVP_PKEY_CTX* parameters = nullptr;
  if (!signing ||
      EVP_DigestSignInit_ex(signing.get(), &parameters, digest.empty() ? nullptr : digest.c_str(), context, nullptr,
                            key, nullptr) != 1 ||
      !Prepare(parameters, algorithm)) {
    return std::unexpected(OpenSslError("EVP_DigestSignInit_ex"));
  }
  return signing;
}

// Whether what the key signs is verified by the public key, in the default context.
bool IsPair(OSSL_LIB_CTX* context, EVP_PKEY* key, EVP_PKEY* public_key, const Algorithm& algorithm) {
  static constexpr std::array<unsigned char, 8> kText = {'w', 'h', 'o', ' ', 'i', 's', ' ', 'i'};
  const auto signing = StartSigning(context, key, algorithm);
  std::size_t size = 0;
  if (!signing || EVP_DigestSign(signing->get(), nullptr, &size, kText.data(), kText.size()) != 1) {
    return false;
  }
  Bytes signature(size);
  if (EVP_DigestSign(signing->get(), signature.data(), &size, kText.data(), kText.size()) != 1) {
    return false;
  }
  const DigestContextPtr verifying(EVP_MD_CTX_new());
  const std::string digest(algorithm.digest == nullptr ? "" : algorithm.digest->name);
  EVP_PKEY_CTX* parameters = nullptr;
  return verifying &&
         EVP_DigestVerifyInit_ex(verifying.get(), &parameters, digest.empty() ? nullptr : digest.c_str(), nullptr,
                                 nullptr, public_key, nullptr) == 1 &&
         Prepare(parameters, algorithm) &&
         EVP_DigestVerify(verifying.get(), signature.data(), size, kText.data(), kText.size()) == 1;
}

// Ready to sign with the token's key that belongs to the public key.
Result<DigestContextPtr> StartSigning(OSSL_LIB_CTX* context, const std::string& uri, const PublicKey& public_key,
                                      const Algorithm& algorithm) {
  ASSIGN_OR_RETURN(const auto keys, LoadPrivateKeys(context, uri));
  auto key = keys.begin();
  if (keys.size() > 1) {
    const auto half = ToOpenSsl(public_key);
    key = std::ranges::find_if(
        keys, [&](const auto& each) { return half && IsPair(context, each.get(), half.get(), algorithm); });
    ERR_clear_error();  // of those that are not ours
  }
  if (key == keys.end()) {
    return Fail(Code::kKeyUnproven, "no key on the token with its CKA_ID belongs to the public key");
  }
  return StartSigning(context, key->get(), algorithm);
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
  const ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, context, nid, value));
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
         AddExtension(certificate, &context, NID_key_usage, kKeyUsage) &&
         AddExtension(certificate, &context, NID_subject_key_identifier, "hash");
}

std::unexpected<Error> In(const std::string& field, Error error) {
  error.message = field + ": " + error.message;
  return std::unexpected(std::move(error));
}

Result<NamePtr> SubjectName(const CsrRequest& request) {
  if (request.subject.empty() && request.subject_alt_names.empty()) {
    return Fail(Code::kInvalidArgument, "subject: must not be empty without subject_alt_names");
  }
  auto name = ParseDistinguishedName(request.subject);
  return name ? std::move(name) : In("subject", name.error());
}

Result<GeneralNamesPtr> AlternativeNames(const std::vector<std::string>& texts) {
  if (texts.size() > kMostAlternativeNames) {
    return Fail(Code::kInvalidArgument,
                "subject_alt_names: must be at most " + std::to_string(kMostAlternativeNames) + " names");
  }
  GeneralNamesPtr names(GENERAL_NAMES_new());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    auto name = ParseGeneralName(texts[i]);
    if (!name) {
      return In("subject_alt_names[" + std::to_string(i) + "]", name.error());
    }
    if (!names || sk_GENERAL_NAME_push(names.get(), name->get()) <= 0) {
      return std::unexpected(OpenSslError("sk_GENERAL_NAME_push"));
    }
    static_cast<void>(name->release());  // the list owns it now
  }
  return names;
}

// Key usage, and the alternative names where there are any.
bool AskForExtensions(X509_REQ* csr, const GENERAL_NAMES* names, bool names_are_critical) {
  STACK_OF(X509_EXTENSION)* extensions = nullptr;
  const ExtensionPtr usage(X509V3_EXT_conf_nid(nullptr, nullptr, NID_key_usage, kKeyUsage));
  bool good = usage && X509v3_add_ext(&extensions, usage.get(), -1) != nullptr;
  if (good && sk_GENERAL_NAME_num(names) > 0) {
    const ExtensionPtr extension(
        X509V3_EXT_i2d(NID_subject_alt_name, names_are_critical ? 1 : 0, const_cast<GENERAL_NAMES*>(names)));
    good = extension && X509v3_add_ext(&extensions, extension.get(), -1) != nullptr;
  }
  good = good && X509_REQ_add_extensions(csr, extensions) == 1;
  sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
  return good;
}

Bytes ToDer(const X509_REQ* csr) {
  unsigned char* octets = nullptr;
  const auto size = i2d_X509_REQ(csr, &octets);
  Bytes der(octets, octets + std::max(size, 0));
  OPENSSL_free(octets);
  return der;
}

// Checked in the default context with the public key that was read from the token.
bool IsSignedBy(EVP_PKEY* public_key, const Bytes& der) {
  const auto* position = der.data();
  const RequestPtr csr(d2i_X509_REQ(nullptr, &position, static_cast<long>(der.size())));
  return csr && X509_REQ_verify(csr.get(), public_key) == 1;
}

}  // namespace

Result<std::unique_ptr<Certifier>> Certifier::New(const std::string& module_path, const std::string& init_args) {
  RETURN_IF_ERROR(LoadProvider(module_path, init_args));
  return std::unique_ptr<Certifier>(new Certifier(module_path, init_args));
}

Result<NewCertificate> Certifier::SelfSign(const SelfSignedRequest& request) const {
  ASSIGN_OR_RETURN(const auto names, AlternativeNames(request.subject_alt_names));
  const auto context = LoadProvider(module_path_, init_args_);
  const auto signing =
      context ? StartSigning(context->get(), request.private_key_uri, request.public_key, *request.algorithm)
              : std::unexpected(context.error());
  if (!signing) {
    return std::unexpected(signing.error());
  }
  const auto public_key = ToOpenSsl(request.public_key);
  const X509Ptr certificate(X509_new_ex(context->get(), nullptr));
  if (!public_key || !certificate || !Describe(certificate.get(), request, public_key.get()) ||
      (!request.subject_alt_names.empty() &&
       X509_add1_ext_i2d(certificate.get(), NID_subject_alt_name, names.get(), 0, X509V3_ADD_DEFAULT) != 1)) {
    return std::unexpected(OpenSslError("X509"));
  }
  if (X509_sign_ctx(certificate.get(), signing->get()) <= 0) {
    return std::unexpected(OpenSslError("X509_sign_ctx"));
  }

  Bytes der(static_cast<std::size_t>(i2d_X509(certificate.get(), nullptr)));
  auto* out = der.data();
  i2d_X509(certificate.get(), &out);
  // Checked in the default context with the public key that was read from the token.
  const auto again = FromDer(der);
  if (!again || X509_verify(again.get(), public_key.get()) != 1) {
    return std::unexpected(OpenSslError("X509_verify"));
  }
  ASSIGN_OR_RETURN(auto parsed, ParseCertificate(der));
  ASSIGN_OR_RETURN(auto subject, SubjectOf(parsed));
  return NewCertificate{.certificate = std::move(parsed), .subject = std::move(subject)};
}

Result<std::string> Certifier::CreateCsr(const CsrRequest& request) const {
  ASSIGN_OR_RETURN(const auto subject, SubjectName(request));
  ASSIGN_OR_RETURN(const auto names, AlternativeNames(request.subject_alt_names));
  const auto context = LoadProvider(module_path_, init_args_);
  const auto signing =
      context ? StartSigning(context->get(), request.private_key_uri, request.public_key, *request.algorithm)
              : std::unexpected(context.error());
  if (!signing) {
    return std::unexpected(signing.error());
  }
  const auto public_key = ToOpenSsl(request.public_key);
  const RequestPtr csr(X509_REQ_new_ex(context->get(), nullptr));
  // RFC 5280 section 4.1.2.6: where the subject is empty the alternative names must be critical.
  if (!public_key || !csr || X509_REQ_set_version(csr.get(), X509_REQ_VERSION_1) != 1 ||
      X509_REQ_set_subject_name(csr.get(), subject.get()) != 1 ||
      X509_REQ_set_pubkey(csr.get(), public_key.get()) != 1 ||
      !AskForExtensions(csr.get(), names.get(), /*names_are_critical=*/request.subject.empty())) {
    return std::unexpected(OpenSslError("X509_REQ"));
  }
  if (X509_REQ_sign_ctx(csr.get(), signing->get()) <= 0) {
    return std::unexpected(OpenSslError("X509_REQ_sign_ctx"));
  }
  const auto der = ToDer(csr.get());
  if (!IsSignedBy(public_key.get(), der)) {
    return std::unexpected(OpenSslError("X509_REQ_verify"));
  }
  return WritePem(PEM_STRING_X509_REQ, der);
}

}  // namespace assertion::x509
