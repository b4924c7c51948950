#include "x509/signed_structure.h"

#include <openssl/asn1.h>
#include <openssl/objects.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <string>

namespace assertion::x509 {
namespace {

using PssParametersPtr = std::unique_ptr<RSA_PSS_PARAMS, Deleter<RSA_PSS_PARAMS_free>>;
using OctetsPtr = std::unique_ptr<ASN1_STRING, Deleter<ASN1_STRING_free>>;

int NidOf(std::string_view name) { return OBJ_txt2nid(std::string(name).c_str()); }

// RFC 4055 section 2.1: the parameters of the hash functions are NULL.
SignatureAlgorithmPtr NewHashAlgorithm(const Digest& digest) {
  SignatureAlgorithmPtr made(X509_ALGOR_new());
  return made && X509_ALGOR_set0(made.get(), OBJ_nid2obj(NidOf(digest.name)), V_ASN1_NULL, nullptr) == 1
             ? std::move(made)
             : nullptr;
}

// Takes the encoded parameters into the identifier.
bool SetParameters(X509_ALGOR* algorithm, int nid, OctetsPtr parameters) {
  if (!parameters || X509_ALGOR_set0(algorithm, OBJ_nid2obj(nid), V_ASN1_SEQUENCE, parameters.get()) != 1) {
    return false;
  }
  static_cast<void>(parameters.release());
  return true;
}

// RFC 4055 section 3.1: the mask is MGF1 with the same hash, the salt as long as the digest.
bool SetPss(X509_ALGOR* algorithm, const Digest& digest) {
  const PssParametersPtr pss(RSA_PSS_PARAMS_new());
  SignatureAlgorithmPtr mask(X509_ALGOR_new());
  auto hash = NewHashAlgorithm(digest);
  const auto mask_hash = NewHashAlgorithm(digest);
  if (!pss || !mask || !hash || !mask_hash ||
      !SetParameters(mask.get(), NID_mgf1,
                     OctetsPtr(ASN1_item_pack(mask_hash.get(), ASN1_ITEM_rptr(X509_ALGOR), nullptr)))) {
    return false;
  }
  pss->hashAlgorithm = hash.release();
  pss->maskGenAlgorithm = mask.release();
  pss->saltLength = ASN1_INTEGER_new();
  return pss->saltLength != nullptr && ASN1_INTEGER_set(pss->saltLength, static_cast<long>(digest.octets)) == 1 &&
         SetParameters(algorithm, NID_rsassaPss,
                       OctetsPtr(ASN1_item_pack(pss.get(), ASN1_ITEM_rptr(RSA_PSS_PARAMS), nullptr)));
}

bool Set(X509_ALGOR* identifier, const Algorithm& algorithm) {
  if (algorithm.padding == Padding::kPss) {
    return SetPss(identifier, *algorithm.digest);
  }
  if (algorithm.digest == nullptr) {
    return X509_ALGOR_set0(identifier, OBJ_nid2obj(NidOf(algorithm.curve->openssl_name)), V_ASN1_UNDEF, nullptr) == 1;
  }
  const bool rsa = algorithm.curve == nullptr;
  int nid = NID_undef;
  return OBJ_find_sigid_by_algs(&nid, NidOf(algorithm.digest->name),
                                rsa ? NID_rsaEncryption : NID_X9_62_id_ecPublicKey) == 1 &&
         X509_ALGOR_set0(identifier, OBJ_nid2obj(nid), rsa ? V_ASN1_NULL : V_ASN1_UNDEF, nullptr) == 1;
}

}  // namespace

SignatureAlgorithmPtr NewSignatureAlgorithm(const Algorithm& algorithm) {
  SignatureAlgorithmPtr made(X509_ALGOR_new());
  return made && Set(made.get(), algorithm) ? std::move(made) : nullptr;
}

Bytes ToSignedStructure(BytesView to_be_signed, const X509_ALGOR* algorithm, BytesView signature) {
  const auto algorithm_size = i2d_X509_ALGOR(algorithm, nullptr);
  const auto bits_size = static_cast<int>(signature.size()) + 1;
  const auto content_size = static_cast<int>(to_be_signed.size()) + algorithm_size +
                            ASN1_object_size(/*constructed=*/0, bits_size, V_ASN1_BIT_STRING);
  const auto size = ASN1_object_size(/*constructed=*/1, content_size, V_ASN1_SEQUENCE);
  if (to_be_signed.empty() || algorithm_size <= 0 || size <= 0) {
    return {};
  }
  Bytes der(static_cast<std::size_t>(size));
  auto* out = der.data();
  ASN1_put_object(&out, /*constructed=*/1, content_size, V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL);
  out = std::ranges::copy(to_be_signed, out).out;
  i2d_X509_ALGOR(algorithm, &out);
  ASN1_put_object(&out, /*constructed=*/0, bits_size, V_ASN1_BIT_STRING, V_ASN1_UNIVERSAL);
  *out++ = 0;  // no bit of the last octet is unused
  std::ranges::copy(signature, out);
  return der;
}

}  // namespace assertion::x509
