#pragma once

#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <memory>
#include <string>

#include "audit/checkpoint.h"
#include "jws/compact.h"
#include "jws/jwk.h"
#include "jws/thumbprint.h"
#include "x509/openssl.h"

namespace assertion::audit {

// Signs checkpoints as the token's audit key does, with a key in memory: for what is about the log and not the token.
class SoftwareSigner {
 public:
  SoftwareSigner() : key_(EVP_RSA_gen(2048)) {
    public_key_ = RsaPublicKey{.modulus = Number("n"), .exponent = Number("e")};
    kid_ = jws::JwkThumbprint(public_key_);
  }

  Signer signer() const {
    return {.kid = kid_,
            .sign = [this](std::string_view payload, auto done) { done(Sign(payload)); },
            .jwk = jws::Jwk(public_key_, kAlgorithms.front(), {}).dump()};
  }
  const std::string& kid() const { return kid_; }

  // Signs on under the name of another key.
  void Claim(const std::string& kid) { kid_ = kid; }

  PublicKeys keys() const { return *ToPublicKeys(public_key_); }

  Result<std::string> Sign(std::string_view payload) const {
    auto input =
        jws::SigningInput(jws::EncodedHeader(kAlgorithms.front(), kid_, "assertiond-checkpoint+json"), payload);
    const std::unique_ptr<EVP_MD_CTX, x509::Deleter<EVP_MD_CTX_free>> context(EVP_MD_CTX_new());
    Bytes signature(static_cast<std::size_t>(EVP_PKEY_get_size(key_.get())));
    std::size_t size = signature.size();
    const auto octets = AsBytes(input);
    if (EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key_.get()) != 1 ||
        EVP_DigestSign(context.get(), signature.data(), &size, octets.data(), octets.size()) != 1) {
      return Fail(Code::kInternal, "no signature");
    }
    return jws::Compact(std::move(input), signature);
  }

 private:
  Bytes Number(const char* name) const {
    BIGNUM* number = nullptr;
    EVP_PKEY_get_bn_param(key_.get(), name, &number);
    const x509::BignumPtr owned(number);
    Bytes octets(static_cast<std::size_t>(BN_num_bytes(number)));
    BN_bn2bin(number, octets.data());
    return octets;
  }

  x509::KeyPtr key_;
  PublicKey public_key_;
  std::string kid_;
};

}  // namespace assertion::audit
