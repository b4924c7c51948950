#include "x509/verifier.h"

#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <string>
#include <utility>

namespace assertion::x509 {
namespace {

using BuilderPtr = std::unique_ptr<OSSL_PARAM_BLD, Deleter<OSSL_PARAM_BLD_free>>;
using KeyContextPtr = std::unique_ptr<EVP_PKEY_CTX, Deleter<EVP_PKEY_CTX_free>>;

constexpr std::uint8_t kUncompressed = 0x04;  // SEC 1 section 2.3.3

BignumPtr ToBignum(BytesView octets) {
  return BignumPtr(BN_bin2bn(octets.data(), static_cast<int>(octets.size()), nullptr));
}

KeyPtr Build(const char* type, OSSL_PARAM_BLD* builder) {
  const KeyContextPtr context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  const std::unique_ptr<OSSL_PARAM, Deleter<OSSL_PARAM_free>> params(OSSL_PARAM_BLD_to_param(builder));
  EVP_PKEY* made = nullptr;
  if (!context || !params || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &made, EVP_PKEY_PUBLIC_KEY, params.get()) != 1) {
    return nullptr;
  }
  return KeyPtr(made);
}

KeyPtr ToOpenSsl(const RsaPublicKey& key) {
  const auto modulus = ToBignum(key.modulus);
  const auto exponent = ToBignum(key.exponent);
  const BuilderPtr builder(OSSL_PARAM_BLD_new());
  if (!modulus || !exponent || !builder ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get()) != 1) {
    return nullptr;
  }
  return Build("RSA", builder.get());
}

KeyPtr ToOpenSsl(const CurvePublicKey& key) {
  const std::string name(key.curve->openssl_name);
  if (key.curve->key_type == &kOkp) {
    return KeyPtr(EVP_PKEY_new_raw_public_key_ex(nullptr, name.c_str(), nullptr, key.x.data(), key.x.size()));
  }
  Bytes point = {kUncompressed};
  point.insert(point.end(), key.x.begin(), key.x.end());
  point.insert(point.end(), key.y.begin(), key.y.end());
  const BuilderPtr builder(OSSL_PARAM_BLD_new());
  if (!builder ||
      OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, name.c_str(), name.size()) != 1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) != 1) {
    return nullptr;
  }
  return Build("EC", builder.get());
}

// `signature` has the two numbers side by side.
Bytes ToSequence(BytesView signature, std::size_t octets) {
  if (signature.size() != 2 * octets) {
    return {};
  }
  const EcdsaSignaturePtr pair(ECDSA_SIG_new());
  auto r = ToBignum(signature.first(octets));
  auto s = ToBignum(signature.last(octets));
  if (!pair || !r || !s || ECDSA_SIG_set0(pair.get(), r.release(), s.release()) != 1) {
    return {};
  }
  constexpr std::size_t kLongest = 139;  // of P-521
  Bytes sequence(kLongest);
  auto* end = sequence.data();
  const auto size = i2d_ECDSA_SIG(pair.get(), &end);
  sequence.resize(static_cast<std::size_t>(std::max(size, 0)));
  return sequence;
}

}  // namespace

KeyPtr ToOpenSsl(const PublicKey& key) {
  return std::visit([](const auto& one) { return ToOpenSsl(one); }, key);
}

Bytes SubjectPublicKeyInfo(const PublicKey& key) {
  const auto object = ToOpenSsl(key);
  unsigned char* der = nullptr;
  const int octets = object ? i2d_PUBKEY(object.get(), &der) : 0;
  if (octets <= 0) {
    return {};
  }
  Bytes info(der, der + octets);
  OPENSSL_free(der);
  return info;
}

Bytes ToX509Signature(const Algorithm& algorithm, BytesView signature) {
  return &algorithm.key_type() == &kEc ? ToSequence(signature, algorithm.curve->octets)
                                       : Bytes(signature.begin(), signature.end());
}

bool Prepare(EVP_PKEY_CTX* context, const Algorithm& algorithm) {
  return algorithm.padding != Padding::kPss || (EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
                                                EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1);
}

Result<Verifier> Verifier::New(const PublicKey& key, const Algorithm& algorithm) {
  const auto unusable = [&](const std::string& detail) {
    return Fail(Code::kInvalidArgument, "the public key cannot be used for " + std::string(algorithm.name), detail);
  };
  if (!Fits(key, algorithm)) {
    return unusable("it is a key of kind " + KindOf(key));
  }
  const auto pkey = ToOpenSsl(key);
  std::unique_ptr<EVP_MD_CTX, FreeContext> context(EVP_MD_CTX_new());
  const std::string digest(algorithm.digest == nullptr ? "" : algorithm.digest->name);
  EVP_PKEY_CTX* verifying = nullptr;
  if (!pkey || !context ||
      EVP_DigestVerifyInit_ex(context.get(), &verifying, digest.empty() ? nullptr : digest.c_str(), nullptr, nullptr,
                              pkey.get(), nullptr) != 1 ||
      !Prepare(verifying, algorithm)) {
    return unusable("EVP_DigestVerifyInit_ex: " + TakeErrors());
  }
  return Verifier(algorithm, std::move(context),
                  algorithm.name == "ES256" ? std::make_unique<P256Multiples>(std::get<CurvePublicKey>(key)) : nullptr);
}

bool Verifier::Verify(std::string_view input, BytesView signature) const {
  if (multiples_ && multiples_->Verify(input, signature)) {
    return true;
  }
  if (&algorithm_->key_type() == &kEc) {
    return VerifyX509(AsBytes(input), ToSequence(signature, algorithm_->curve->octets));
  }
  return VerifyX509(AsBytes(input), signature);
}

bool Verifier::VerifyX509(BytesView input, BytesView signature) const {
  const std::unique_ptr<EVP_MD_CTX, FreeContext> context(EVP_MD_CTX_new());
  const bool good =
      context && EVP_MD_CTX_copy_ex(context.get(), prepared_.get()) == 1 &&
      EVP_DigestVerify(context.get(), signature.data(), signature.size(), input.data(), input.size()) == 1;
  if (!good) {
    TakeErrors();  // leave this thread's queue empty for the next call
  }
  return good;
}

}  // namespace assertion::x509
