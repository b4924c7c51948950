#include "x509/certificate.h"

#include <openssl/core_names.h>
#include <openssl/pem.h>

#include <ctime>

#include "x509/openssl.h"

namespace assertion::x509 {
namespace {

Result<Bytes> Number(EVP_PKEY* key, const char* name) {
  BIGNUM* number = nullptr;
  if (EVP_PKEY_get_bn_param(key, name, &number) != 1) {
    return Fail(Code::kInvalidArgument, "the certificate's public key is not RSA",
                "EVP_PKEY_get_bn_param: " + TakeErrors());
  }
  const BignumPtr owned(number);
  Bytes octets(static_cast<std::size_t>(BN_num_bytes(number)));
  BN_bn2bin(number, octets.data());
  return octets;
}

Result<Time> Instant(const ASN1_TIME* time) {
  std::tm utc{};
  if (ASN1_TIME_to_tm(time, &utc) != 1) {
    return Fail(Code::kInvalidArgument, "the certificate's validity cannot be read");
  }
  return Time(std::chrono::seconds(timegm(&utc)));
}

Result<Certificate> FromOpenSsl(X509* certificate) {
  auto* key = X509_get0_pubkey(certificate);
  if (key == nullptr || EVP_PKEY_is_a(key, "RSA") != 1) {
    TakeErrors();
    return Fail(Code::kInvalidArgument, "the certificate's public key is not RSA");
  }
  auto modulus = Number(key, OSSL_PKEY_PARAM_RSA_N);
  auto exponent = Number(key, OSSL_PKEY_PARAM_RSA_E);
  const auto not_before = Instant(X509_get0_notBefore(certificate));
  const auto not_after = Instant(X509_get0_notAfter(certificate));
  if (!modulus || !exponent) {
    return std::unexpected(modulus ? exponent.error() : modulus.error());
  }
  if (!not_before || !not_after) {
    return std::unexpected(not_before ? not_after.error() : not_before.error());
  }
  Bytes der(static_cast<std::size_t>(i2d_X509(certificate, nullptr)));
  auto* out = der.data();
  i2d_X509(certificate, &out);
  return Certificate{.der = std::move(der),
                     .public_key = {.modulus = std::move(*modulus), .exponent = std::move(*exponent)},
                     .not_before = *not_before,
                     .not_after = *not_after};
}

}  // namespace

Result<Certificate> ParseCertificate(BytesView der) {
  const auto* position = der.data();
  const X509Ptr certificate(d2i_X509(nullptr, &position, static_cast<long>(der.size())));
  if (!certificate || position != der.data() + der.size()) {
    return Fail(Code::kInvalidArgument, "not one DER certificate", "d2i_X509: " + TakeErrors());
  }
  return FromOpenSsl(certificate.get());
}

Result<Certificate> ParsePem(std::string_view pem) {
  const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const X509Ptr certificate(bio ? PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr) : nullptr);
  if (!certificate) {
    return Fail(Code::kInvalidArgument, "not a PEM certificate", "PEM_read_bio_X509: " + TakeErrors());
  }
  return FromOpenSsl(certificate.get());
}

std::string ToPem(std::span<const Certificate> chain) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  for (const auto& certificate : chain) {
    PEM_write_bio(bio.get(), PEM_STRING_X509, "", certificate.der.data(), static_cast<long>(certificate.der.size()));
  }
  char* text = nullptr;
  const auto size = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

}  // namespace assertion::x509
