#pragma once

#include <p11-kit/pkcs11.h>

#include "assertion/bytes.h"
#include "assertion/error.h"
#include "assertion/public_key.h"

namespace assertion::p11 {

// How OpenSSL and the token name one form of RSA-OAEP (RFC 8017 section 7.1).
struct Oaep {
  CK_MECHANISM_TYPE hash;
  CK_RSA_PKCS_MGF_TYPE mask;
  const char* digest;
};
inline constexpr Oaep kOaepSha256 = {CKM_SHA256, CKG_MGF1_SHA256, "SHA256"};
inline constexpr Oaep kOaepSha1 = {CKM_SHA_1, CKG_MGF1_SHA1, "SHA1"};

// Parameters of CKM_RSA_PKCS_OAEP for it.
CK_RSA_PKCS_OAEP_PARAMS OaepParameters(const Oaep& oaep);

// Encrypts in software, for the token to decrypt. `oaep` null: PKCS#1 v1.5 (CKM_RSA_PKCS).
Result<Bytes> EncryptRsa(const RsaPublicKey& key, const Oaep* oaep, BytesView secret);

}  // namespace assertion::p11
