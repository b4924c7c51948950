#include "x509/certifier.h"

#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
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
#include "x509/pkcs11_provider.h"
#include "x509/signed_structure.h"
#include "x509/verifier.h"

namespace assertion::x509 {
namespace {

using GeneralNamesPtr = std::unique_ptr<GENERAL_NAMES, Deleter<GENERAL_NAMES_free>>;
using RequestPtr = std::unique_ptr<X509_REQ, Deleter<X509_REQ_free>>;

constexpr std::size_t kMostAlternativeNames = 100;
constexpr const char* kKeyUsage = "critical,digitalSignature";

Error OpenSslError(const char* call) {
  return Error{Code::kInternal, "OpenSSL could not make the certificate or request",
               std::string(call) + ": " + TakeErrors()};
}

// The DER of an object; empty on failure.
template <typename Object>
Bytes ToDer(int (*encode)(Object*, unsigned char**), Object* object) {
  unsigned char* octets = nullptr;
  const auto size = encode(object, &octets);
  Bytes der(octets, octets + std::max(size, 0));
  OPENSSL_free(octets);
  return der;
}

// Signs through our own logged-in session.
Result<Bytes> SignThroughSession(const CertifiedKey& key, BytesView octets, const Verifier& verifier) {
  const std::string_view input(reinterpret_cast<const char*>(octets.data()), octets.size());
  ASSIGN_OR_RETURN(const auto session, key.token->OpenSigningSession());
  ASSIGN_OR_RETURN(const auto signature, session->Sign(key.id, *key.algorithm, input));
  auto converted = ToX509Signature(*key.algorithm, signature);
  if (!verifier.VerifyX509(octets, converted)) {
    return Fail(Code::kInternal, "the HSM made a signature that does not verify with the key's public key", "C_Sign");
  }
  return converted;
}

// The provider (1.0) can loop without end when the token gives it no session. Its own two, and one that stays free for
// a revocation, must be there before it is asked.
Status HasSessionsForProvider(Token& token) {
  std::array<std::unique_ptr<SigningSession>, Pkcs11Provider::kSessions + 1> opened;
  for (auto& session : opened) {
    auto one = token.OpenSigningSession();
    if (!one) {
      return Fail(one.error().code, "pkcs11-provider is not used: the HSM does not give it three sessions",
                  one.error().detail);
    }
    session = std::move(*one);
  }
  return {};
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

bool IsSignedBy(EVP_PKEY* public_key, const Bytes& der) {
  const auto* position = der.data();
  const RequestPtr csr(d2i_X509_REQ(nullptr, &position, static_cast<long>(der.size())));
  return csr && X509_REQ_verify(csr.get(), public_key) == 1;
}

}  // namespace

Result<std::unique_ptr<Certifier>> Certifier::New(const std::string& module_path, const std::string& init_args) {
  RETURN_IF_ERROR(Pkcs11Provider::Load(module_path, init_args));
  return std::unique_ptr<Certifier>(new Certifier(module_path, init_args));
}

// One thread at a time, so that the provider's sessions do not grow. A thread that finds it busy uses a session of our
// own: a call that hangs in the provider holds up no other. With a token that asks for the PIN itself the provider may
// call C_Login without one.
Result<Bytes> Certifier::SignThroughProvider(const CertifiedKey& key, BytesView octets,
                                             const Verifier& verifier) const {
  if (const auto flags = key.token->Describe().flags;
      std::ranges::find(flags, "CKF_PROTECTED_AUTHENTICATION_PATH") != flags.end()) {
    return Fail(Code::kFailedPrecondition, "pkcs11-provider is not used: it might have the token ask for the PIN");
  }
  if (!provider_mutex_.try_lock()) {
    return Fail(Code::kUnavailable, "pkcs11-provider is not used: it is busy with another signature");
  }
  auto signature = SignThroughKeptProvider(key, octets, verifier);
  provider_mutex_.unlock();
  return signature;
}

// The reference ends here: a session of our own must not wait for it.
Result<Bytes> Certifier::SignThroughKeptProvider(const CertifiedKey& key, BytesView octets,
                                                 const Verifier& verifier) const {
  RETURN_IF_ERROR(HasSessionsForProvider(*key.token));
  ASSIGN_OR_RETURN(const auto reference, key.token->PrivateKeyOf(key.id));
  const auto epoch = key.token->Epoch();
  if (!provider_ || provider_->epoch != epoch || provider_->generation != reference.generation) {
    provider_.reset();
    ASSIGN_OR_RETURN(auto provider, Pkcs11Provider::Load(module_path_, init_args_));
    provider_.emplace(std::move(provider), epoch, reference.generation);
  }
  auto signature = provider_->provider.Sign(reference.uri, *key.algorithm, octets, verifier);
  if (provider_->provider.closes_its_sessions()) {
    provider_.reset();
  }
  return signature;
}

// The provider (1.0) makes a wrong RSA signature where the token lacks the mechanism that hashes, and signs nothing
// where the module gives it a connection without our login.
Result<Bytes> Certifier::Sign(const CertifiedKey& key, BytesView octets) const {
  ASSIGN_OR_RETURN(const auto verifier, Verifier::New(key.public_key, *key.algorithm));
  const auto provided = SignThroughProvider(key, octets, verifier);
  if (provided) {
    return provided;
  }
  auto own = SignThroughSession(key, octets, verifier);
  if (!own) {
    own.error().detail += "; pkcs11-provider before: " + provided.error().ToString();
  }
  return own;
}

Status Certifier::TryProvider(const CertifiedKey& key) const {
  ASSIGN_OR_RETURN(const auto verifier, Verifier::New(key.public_key, *key.algorithm));
  RETURN_IF_ERROR(SignThroughProvider(key, AsBytes("assertiond tries pkcs11-provider"), verifier));
  return {};
}

Result<Bytes> Certifier::SignStructure(const CertifiedKey& key, BytesView to_be_signed,
                                       const X509_ALGOR* algorithm) const {
  if (to_be_signed.empty() || algorithm == nullptr) {
    return std::unexpected(OpenSslError("i2d"));
  }
  ASSIGN_OR_RETURN(const auto signature, Sign(key, to_be_signed));
  return ToSignedStructure(to_be_signed, algorithm, signature);
}

Result<NewCertificate> Certifier::SelfSign(const SelfSignedRequest& request) const {
  ASSIGN_OR_RETURN(const auto names, AlternativeNames(request.subject_alt_names));
  const auto algorithm = NewSignatureAlgorithm(*request.key.algorithm);
  const auto public_key = ToOpenSsl(request.key.public_key);
  const X509Ptr certificate(X509_new());
  if (!algorithm || !public_key || !certificate || !Describe(certificate.get(), request, public_key.get()) ||
      (!request.subject_alt_names.empty() &&
       X509_add1_ext_i2d(certificate.get(), NID_subject_alt_name, names.get(), 0, X509V3_ADD_DEFAULT) != 1) ||
      // RFC 5280 section 4.1.2.3: named inside as well. OpenSSL lets only its own signing functions write it.
      X509_ALGOR_copy(const_cast<X509_ALGOR*>(X509_get0_tbs_sigalg(certificate.get())), algorithm.get()) != 1) {
    return std::unexpected(OpenSslError("X509"));
  }
  ASSIGN_OR_RETURN(const auto der,
                   SignStructure(request.key, ToDer(i2d_re_X509_tbs, certificate.get()), algorithm.get()));
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
  const auto algorithm = NewSignatureAlgorithm(*request.key.algorithm);
  const auto public_key = ToOpenSsl(request.key.public_key);
  const RequestPtr csr(X509_REQ_new());
  // RFC 5280 section 4.1.2.6: where the subject is empty the alternative names must be critical.
  if (!public_key || !csr || X509_REQ_set_version(csr.get(), X509_REQ_VERSION_1) != 1 ||
      X509_REQ_set_subject_name(csr.get(), subject.get()) != 1 ||
      X509_REQ_set_pubkey(csr.get(), public_key.get()) != 1 ||
      !AskForExtensions(csr.get(), names.get(), /*names_are_critical=*/request.subject.empty())) {
    return std::unexpected(OpenSslError("X509_REQ"));
  }
  ASSIGN_OR_RETURN(const auto der, SignStructure(request.key, ToDer(i2d_re_X509_REQ_tbs, csr.get()), algorithm.get()));
  if (!IsSignedBy(public_key.get(), der)) {
    return std::unexpected(OpenSslError("X509_REQ_verify"));
  }
  return WritePem(PEM_STRING_X509_REQ, der);
}

}  // namespace assertion::x509
