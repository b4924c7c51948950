#include "p11/rsa_encryption.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include <memory>

namespace assertion::p11 {
namespace {

using BignumPtr = std::unique_ptr<BIGNUM, decltype(&BN_free)>;
using KeyContextPtr = std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)>;
using OpenSslKeyPtr = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

std::unexpected<Error> RsaFailed(const char* call) {
  return Fail(Code::kInternal, "the private key could not be wrapped", call);
}

Result<OpenSslKeyPtr> Recipient(const RsaPublicKey& key) {
  const auto number = [](const Bytes& octets) {
    return BignumPtr(BN_bin2bn(octets.data(), static_cast<int>(octets.size()), nullptr), BN_free);
  };
  const auto modulus = number(key.modulus);
  const auto exponent = number(key.exponent);
  const std::unique_ptr<OSSL_PARAM_BLD, decltype(&OSSL_PARAM_BLD_free)> builder(OSSL_PARAM_BLD_new(),
                                                                                OSSL_PARAM_BLD_free);
  if (!modulus || !exponent || !builder ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get()) != 1) {
    return RsaFailed("OSSL_PARAM_BLD_push_BN");
  }
  const std::unique_ptr<OSSL_PARAM, decltype(&OSSL_PARAM_free)> params(OSSL_PARAM_BLD_to_param(builder.get()),
                                                                       OSSL_PARAM_free);
  const KeyContextPtr making(EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr), EVP_PKEY_CTX_free);
  EVP_PKEY* made = nullptr;
  if (!params || !making || EVP_PKEY_fromdata_init(making.get()) != 1 ||
      EVP_PKEY_fromdata(making.get(), &made, EVP_PKEY_PUBLIC_KEY, params.get()) != 1) {
    return RsaFailed("EVP_PKEY_fromdata");
  }
  return OpenSslKeyPtr(made, EVP_PKEY_free);
}

bool SetPadding(EVP_PKEY_CTX* context, const Oaep* oaep) {
  return oaep == nullptr ? EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1
                         : EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING) == 1 &&
                               EVP_PKEY_CTX_set_rsa_oaep_md_name(context, oaep->digest, nullptr) == 1 &&
                               EVP_PKEY_CTX_set_rsa_mgf1_md_name(context, oaep->digest, nullptr) == 1;
}

}  // namespace

CK_RSA_PKCS_OAEP_PARAMS OaepParameters(const Oaep& oaep) {
  return {.hashAlg = oaep.hash,
          .mgf = oaep.mask,
          .source = CKZ_DATA_SPECIFIED,
          .pSourceData = nullptr,
          .ulSourceDataLen = 0};
}

Result<Bytes> EncryptRsa(const RsaPublicKey& key, const Oaep* oaep, BytesView secret) {
  ASSIGN_OR_RETURN(const auto recipient, Recipient(key));
  const KeyContextPtr context(EVP_PKEY_CTX_new_from_pkey(nullptr, recipient.get(), nullptr), EVP_PKEY_CTX_free);
  Bytes encrypted(key.modulus.size());
  auto size = encrypted.size();
  if (!context || EVP_PKEY_encrypt_init(context.get()) != 1 || !SetPadding(context.get(), oaep) ||
      EVP_PKEY_encrypt(context.get(), encrypted.data(), &size, secret.data(), secret.size()) != 1) {
    return RsaFailed("EVP_PKEY_encrypt");
  }
  encrypted.resize(size);
  return encrypted;
}

}  // namespace assertion::p11
