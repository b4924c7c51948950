#include "x509/verifier.h"

#include <openssl/core_names.h>
#include <openssl/param_build.h>

#include <string>
#include <utility>

namespace assertion::x509 {
namespace {

BignumPtr ToBignum(const Bytes& octets) {
  return BignumPtr(BN_bin2bn(octets.data(), static_cast<int>(octets.size()), nullptr));
}

}  // namespace

KeyPtr ToOpenSsl(const PublicKey& key) {
  const auto modulus = ToBignum(key.modulus);
  const auto exponent = ToBignum(key.exponent);
  const std::unique_ptr<OSSL_PARAM_BLD, Deleter<OSSL_PARAM_BLD_free>> builder(OSSL_PARAM_BLD_new());
  const std::unique_ptr<EVP_PKEY_CTX, Deleter<EVP_PKEY_CTX_free>> context(
      EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr));
  if (!modulus || !exponent || !builder || !context ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get()) != 1) {
    return nullptr;
  }
  const std::unique_ptr<OSSL_PARAM, Deleter<OSSL_PARAM_free>> params(OSSL_PARAM_BLD_to_param(builder.get()));
  EVP_PKEY* made = nullptr;
  if (!params || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &made, EVP_PKEY_PUBLIC_KEY, params.get()) != 1) {
    return nullptr;
  }
  return KeyPtr(made);
}

Result<Verifier> Verifier::New(const PublicKey& key, const Algorithm& algorithm) {
  const auto pkey = ToOpenSsl(key);
  std::unique_ptr<EVP_MD_CTX, FreeContext> context(EVP_MD_CTX_new());
  if (!pkey || !context ||
      EVP_DigestVerifyInit_ex(context.get(), nullptr, std::string(algorithm.digest).c_str(), nullptr, nullptr,
                              pkey.get(), nullptr) != 1) {
    return Fail(Code::kInvalidArgument, "the public key cannot be used for " + std::string(algorithm.name),
                "EVP_DigestVerifyInit_ex: " + TakeErrors());
  }
  return Verifier(std::move(context));
}

bool Verifier::Verify(std::string_view input, BytesView signature) const {
  const std::unique_ptr<EVP_MD_CTX, FreeContext> context(EVP_MD_CTX_new());
  const auto message = AsBytes(input);
  const bool good =
      context && EVP_MD_CTX_copy_ex(context.get(), prepared_.get()) == 1 &&
      EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(), message.size()) == 1;
  if (!good) {
    TakeErrors();  // leave this thread's queue empty for the next call
  }
  return good;
}

}  // namespace assertion::x509
