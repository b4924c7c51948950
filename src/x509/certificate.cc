#include "x509/certificate.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <optional>
#include <utility>

#include "assertion/clock.h"
#include "x509/pem.h"

namespace assertion::x509 {
namespace {

Error Unreadable(const char* call) {
  return Error{Code::kInvalidArgument, "the certificate's public key cannot be read",
               std::string(call) + ": " + TakeErrors()};
}

// Big-endian; with leading zero octets up to that many.
Result<Bytes> Number(EVP_PKEY* key, const char* name, std::size_t octets = 0) {
  BIGNUM* number = nullptr;
  if (EVP_PKEY_get_bn_param(key, name, &number) != 1) {
    return std::unexpected(Unreadable("EVP_PKEY_get_bn_param"));
  }
  const BignumPtr owned(number);
  Bytes value(std::max(octets, static_cast<std::size_t>(BN_num_bytes(number))));
  BN_bn2binpad(number, value.data(), static_cast<int>(value.size()));
  return value;
}

Result<PublicKey> RsaOf(EVP_PKEY* key) {
  auto modulus = Number(key, OSSL_PKEY_PARAM_RSA_N);
  auto exponent = Number(key, OSSL_PKEY_PARAM_RSA_E);
  if (!modulus || !exponent) {
    return std::unexpected(modulus ? exponent.error() : modulus.error());
  }
  return RsaPublicKey{.modulus = std::move(*modulus), .exponent = std::move(*exponent)};
}

Result<PublicKey> PointOf(EVP_PKEY* key, const Curve& curve) {
  if (curve.key_type == &kOkp) {
    Bytes x(curve.octets);
    auto size = x.size();
    if (EVP_PKEY_get_raw_public_key(key, x.data(), &size) != 1 || size != x.size()) {
      return std::unexpected(Unreadable("EVP_PKEY_get_raw_public_key"));
    }
    return CurvePublicKey{.curve = &curve, .x = std::move(x), .y = {}};
  }
  auto x = Number(key, OSSL_PKEY_PARAM_EC_PUB_X, curve.octets);
  auto y = Number(key, OSSL_PKEY_PARAM_EC_PUB_Y, curve.octets);
  if (!x || !y) {
    return std::unexpected(x ? y.error() : x.error());
  }
  return CurvePublicKey{.curve = &curve, .x = std::move(*x), .y = std::move(*y)};
}

// Null when it is on none that this project signs with.
const Curve* GroupOf(EVP_PKEY* key) {
  std::array<char, 64> group{};
  if (EVP_PKEY_is_a(key, "EC") == 1) {
    return EVP_PKEY_get_group_name(key, group.data(), group.size(), nullptr) == 1
               ? FindCurve(group.data(), &Curve::openssl_name)
               : nullptr;
  }
  const auto* type = EVP_PKEY_get0_type_name(key);
  return type == nullptr ? nullptr : FindCurve(type, &Curve::openssl_name);
}

// Unset when it is of a kind that this project does not sign with.
Result<std::optional<PublicKey>> PublicKeyOf(X509* certificate) {
  auto* key = X509_get0_pubkey(certificate);
  if (key != nullptr && EVP_PKEY_is_a(key, "RSA") == 1) {
    return RsaOf(key);
  }
  if (const auto* curve = key == nullptr ? nullptr : GroupOf(key)) {
    return PointOf(key, *curve);
  }
  ERR_clear_error();
  return std::nullopt;
}

Result<Time> Instant(const ASN1_TIME* time) {
  std::tm utc{};
  if (ASN1_TIME_to_tm(time, &utc) != 1) {
    return Fail(Code::kInvalidArgument, "the certificate's validity cannot be read");
  }
  return Time(std::chrono::seconds(timegm(&utc)));
}

Result<Certificate> FromOpenSsl(X509* certificate) {
  auto key = PublicKeyOf(certificate);
  const auto not_before = Instant(X509_get0_notBefore(certificate));
  const auto not_after = Instant(X509_get0_notAfter(certificate));
  if (!key) {
    return std::unexpected(key.error());
  }
  if (!not_before || !not_after) {
    return std::unexpected(not_before ? not_after.error() : not_before.error());
  }
  Bytes der(static_cast<std::size_t>(i2d_X509(certificate, nullptr)));
  auto* out = der.data();
  i2d_X509(certificate, &out);
  return Certificate{
      .der = std::move(der), .public_key = std::move(*key), .not_before = *not_before, .not_after = *not_after};
}

}  // namespace

X509Ptr FromDer(BytesView der) {
  ERR_clear_error();  // what other code left behind would be told as the cause
  const auto* position = der.data();
  X509Ptr certificate(d2i_X509(nullptr, &position, static_cast<long>(der.size())));
  return position == der.data() + der.size() ? std::move(certificate) : nullptr;
}

Result<Certificate> ParseCertificate(BytesView der) {
  const auto certificate = FromDer(der);
  if (!certificate) {
    return Fail(Code::kInvalidArgument, "not one DER certificate", "d2i_X509: " + TakeErrors());
  }
  return FromOpenSsl(certificate.get());
}

Result<Certificate> ParsePem(std::string_view pem) {
  ERR_clear_error();
  const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const X509Ptr certificate(bio ? PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr) : nullptr);
  if (!certificate) {
    return Fail(Code::kInvalidArgument, "not a PEM certificate", "PEM_read_bio_X509: " + TakeErrors());
  }
  return FromOpenSsl(certificate.get());
}

Result<Bytes> SubjectOf(const Certificate& certificate) {
  const auto opened = FromDer(certificate.der);
  const unsigned char* name = nullptr;
  std::size_t size = 0;
  if (!opened || X509_NAME_get0_der(X509_get_subject_name(opened.get()), &name, &size) != 1) {
    return Fail(Code::kInvalidArgument, "the certificate's subject cannot be read", "d2i_X509: " + TakeErrors());
  }
  return Bytes(name, name + size);
}

std::string DescriptionOf(const Certificate& certificate) {
  const auto parsed = FromDer(certificate.der);
  const BioPtr text(BIO_new(BIO_s_mem()));
  std::string subject;
  if (parsed && text && X509_NAME_print_ex(text.get(), X509_get_subject_name(parsed.get()), 0, XN_FLAG_RFC2253) >= 0) {
    char* octets = nullptr;
    const auto size = BIO_get_mem_data(text.get(), &octets);
    subject.assign(octets, static_cast<std::size_t>(size));
  }
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(certificate.der.data(), certificate.der.size(), digest.data());
  return "subject " + subject + ", until " + Rfc3339(certificate.not_after) + ", SHA-256 " + Hex(digest);
}

std::string ToPem(std::span<const Certificate> chain) {
  std::string text;
  for (const auto& certificate : chain) {
    text += WritePem(PEM_STRING_X509, certificate.der);
  }
  return text;
}

}  // namespace assertion::x509
