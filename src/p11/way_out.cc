#include "p11/way_out.h"

namespace assertion::p11 {
namespace {

constexpr std::array kRsaSecrets = {NamedType{CKA_PRIVATE_EXPONENT, "CKA_PRIVATE_EXPONENT"},
                                    NamedType{CKA_PRIME_1, "CKA_PRIME_1"},
                                    NamedType{CKA_PRIME_2, "CKA_PRIME_2"},
                                    NamedType{CKA_EXPONENT_1, "CKA_EXPONENT_1"},
                                    NamedType{CKA_EXPONENT_2, "CKA_EXPONENT_2"},
                                    NamedType{CKA_COEFFICIENT, "CKA_COEFFICIENT"}};
constexpr std::array kCurveSecrets = {NamedType{CKA_VALUE, "CKA_VALUE"}};

// Answers that tell of a failure rather than of a refusal.
bool IsVague(CK_RV rv) {
  switch (rv) {
    case CKR_DEVICE_ERROR:
    case CKR_DEVICE_MEMORY:
    case CKR_FUNCTION_CANCELED:
    case CKR_FUNCTION_FAILED:
    case CKR_GENERAL_ERROR:
    case CKR_HOST_MEMORY:
    case CKR_OPERATION_ACTIVE:
      return true;
    default:
      return false;
  }
}

}  // namespace

std::span<const NamedType> SecretsOf(const Algorithm& algorithm) {
  return algorithm.curve == nullptr ? std::span<const NamedType>(kRsaSecrets)
                                    : std::span<const NamedType>(kCurveSecrets);
}

WayOutcome OutcomeOf(CK_RV rv, WayOutcome when_taken) {
  return rv == CKR_OK ? when_taken : IsVague(rv) ? WayOutcome::kNotTried : WayOutcome::kHeld;
}

Result<TrialAnswer> ReadSecret(Session& session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type) {
  Spill spill;
  CK_ATTRIBUTE attribute{.type = type, .pValue = spill.data(), .ulValueLen = Spill::kSize};
  ASSIGN_OR_RETURN(const auto rv, session.Ask("C_GetAttributeValue", [&](auto& functions, CK_SESSION_HANDLE handle) {
    return functions.C_GetAttributeValue(handle, object, &attribute, 1);
  }));
  return TrialAnswer{.rv = rv, .out = rv == CKR_OK && attribute.ulValueLen != 0 && spill.HoldsAnything()};
}

}  // namespace assertion::p11
