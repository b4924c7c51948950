#include "p11/signing_mechanism.h"

namespace assertion::p11 {
namespace {

std::optional<CK_RSA_PKCS_PSS_PARAMS> ParametersOf(const Algorithm& algorithm) {
  if (algorithm.padding != Padding::kPss) {
    return {};
  }
  const auto& digest = *algorithm.digest;
  return CK_RSA_PKCS_PSS_PARAMS{digest.pkcs11_mechanism, digest.pkcs11_mask_generator, digest.octets};
}

// True when the token has the mechanism for that use and, where it tells key sizes, for the algorithm's curve.
Result<bool> Offers(const Module& module, CK_SLOT_ID slot, CK_MECHANISM_TYPE type, CK_FLAGS use,
                    const Algorithm& algorithm) {
  const auto entered = module.Enter();
  CK_MECHANISM_INFO info{};
  const auto rv = module->C_GetMechanismInfo(slot, type, &info);
  if (rv == CKR_MECHANISM_INVALID) {
    return false;
  }
  if (rv != CKR_OK) {
    return std::unexpected(CryptokiError("C_GetMechanismInfo", rv));
  }
  // Not checked for Edwards curves: modules disagree on the unit of their sizes.
  const bool measured = &algorithm.key_type() == &kEc && info.ulMaxKeySize != 0;
  const auto bits = static_cast<CK_ULONG>(algorithm.default_key_bits());
  return (info.flags & use) == use && (!measured || (info.ulMinKeySize <= bits && bits <= info.ulMaxKeySize));
}

}  // namespace

SigningMechanism SigningMechanism::OfMessage(const Algorithm& algorithm) {
  return {
      .mechanism = algorithm.of_message, .parameters = ParametersOf(algorithm), .digest = nullptr, .digest_info = {}};
}

SigningMechanism SigningMechanism::OfDigest(const Algorithm& algorithm) {
  return {.mechanism = algorithm.of_digest,
          .parameters = ParametersOf(algorithm),
          .digest = algorithm.digest,
          .digest_info = algorithm.padding == Padding::kPkcs1 ? algorithm.digest->digest_info : std::string_view()};
}

Result<SigningMechanisms> SigningMechanisms::Read(const Module& module, CK_SLOT_ID slot) {
  SigningMechanisms read;
  for (std::size_t i = 0; i < kAlgorithms.size(); ++i) {
    const auto& algorithm = kAlgorithms[i];
    const auto offers = [&](CK_MECHANISM_TYPE type, CK_FLAGS use) {
      return Offers(module, slot, type, use, algorithm);
    };
    const auto of_message = offers(algorithm.of_message.type, CKF_SIGN);
    const auto of_digest = algorithm.of_digest.name.empty() ? false : offers(algorithm.of_digest.type, CKF_SIGN);
    const auto generates = offers(algorithm.key_type().pkcs11_pair_generation, 0);
    for (const auto* answer : {&of_message, &of_digest, &generates}) {
      if (!*answer) {
        return std::unexpected(answer->error());
      }
    }
    read.offers_[i].generates = *generates;
    if (*of_message) {
      read.offers_[i].signing = SigningMechanism::OfMessage(algorithm);
    } else if (*of_digest) {
      read.offers_[i].signing = SigningMechanism::OfDigest(algorithm);
    }
  }
  return read;
}

const SigningMechanism* SigningMechanisms::Find(const Algorithm& algorithm) const {
  const auto& offer = OfferFor(algorithm);
  return offer.signing ? &*offer.signing : nullptr;
}

bool SigningMechanisms::MakesKeysFor(const Algorithm& algorithm) const {
  const auto& offer = OfferFor(algorithm);
  return offer.signing && offer.generates;
}

std::string SigningMechanisms::Names() const {
  return AlgorithmNames([this](const Algorithm& algorithm) { return MakesKeysFor(algorithm); });
}

}  // namespace assertion::p11
