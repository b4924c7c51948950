#include "p11/signing_mechanism.h"

#include <algorithm>
#include <span>
#include <vector>

namespace assertion::p11 {
namespace {

std::optional<CK_RSA_PKCS_PSS_PARAMS> ParametersOf(const Algorithm& algorithm) {
  if (algorithm.padding != Padding::kPss) {
    return {};
  }
  const auto& digest = *algorithm.digest;
  return CK_RSA_PKCS_PSS_PARAMS{digest.pkcs11_mechanism, digest.pkcs11_mask_generator, digest.octets};
}

Result<std::vector<CK_MECHANISM_TYPE>> ListMechanisms(const Module& module, CK_SLOT_ID slot) {
  const auto entered = module.Enter();
  CK_ULONG count = 0;
  auto rv = module->C_GetMechanismList(slot, nullptr, &count);
  std::vector<CK_MECHANISM_TYPE> types(count);
  if (rv == CKR_OK && count > 0) {
    rv = module->C_GetMechanismList(slot, types.data(), &count);
  }
  if (rv != CKR_OK) {
    return std::unexpected(CryptokiError("C_GetMechanismList", rv));
  }
  types.resize(std::min<std::size_t>(count, types.size()));
  return types;
}

// True when the token lists the mechanism for that use and, where it tells key sizes, for the algorithm's curve.
// SoftHSM2 2.6.1 describes mechanisms that it does not list and does not perform.
Result<bool> Offers(const Module& module, CK_SLOT_ID slot, std::span<const CK_MECHANISM_TYPE> listed,
                    CK_MECHANISM_TYPE type, CK_FLAGS use, const Algorithm& algorithm) {
  if (std::ranges::find(listed, type) == listed.end()) {
    return false;
  }
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
  ASSIGN_OR_RETURN(const auto listed, ListMechanisms(module, slot));
  SigningMechanisms read;
  for (std::size_t i = 0; i < kAlgorithms.size(); ++i) {
    const auto& algorithm = kAlgorithms[i];
    auto& offer = read.offers_[i];
    const auto offers = [&](CK_MECHANISM_TYPE type, CK_FLAGS use) {
      return Offers(module, slot, listed, type, use, algorithm);
    };
    ASSIGN_OR_RETURN(const bool of_message, offers(algorithm.of_message.type, CKF_SIGN));
    ASSIGN_OR_RETURN(const bool of_digest,
                     algorithm.of_digest.name.empty() ? false : offers(algorithm.of_digest.type, CKF_SIGN));
    ASSIGN_OR_RETURN(offer.generates, offers(algorithm.key_type().pkcs11_pair_generation, 0));
    if (of_message) {
      offer.of_message = SigningMechanism::OfMessage(algorithm);
    }
    if (of_digest) {
      offer.of_digest = SigningMechanism::OfDigest(algorithm);
    }
  }
  return read;
}

const SigningMechanism* SigningMechanisms::Find(const Algorithm& algorithm) const {
  const auto& offer = offers_.at(IndexOf(algorithm));
  if (offer.of_message && !refused_->at(IndexOf(algorithm)).load(std::memory_order_relaxed)) {
    return &*offer.of_message;
  }
  return offer.of_digest ? &*offer.of_digest : nullptr;
}

const SigningMechanism* SigningMechanisms::FindAfterRefusal(const Algorithm& algorithm,
                                                            const SigningMechanism& refused) const {
  const auto& offer = offers_.at(IndexOf(algorithm));
  if (!offer.of_message || &refused != &*offer.of_message || !offer.of_digest) {
    return nullptr;
  }
  refused_->at(IndexOf(algorithm)) = true;
  return &*offer.of_digest;
}

bool SigningMechanisms::MakesKeysFor(const Algorithm& algorithm) const {
  return Find(algorithm) != nullptr && offers_.at(IndexOf(algorithm)).generates;
}

std::string SigningMechanisms::Names() const {
  return AlgorithmNames([this](const Algorithm& algorithm) { return MakesKeysFor(algorithm); });
}

}  // namespace assertion::p11
