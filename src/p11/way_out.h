#pragma once

#include <openssl/crypto.h>
#include <p11-kit/pkcs11.h>

#include <algorithm>
#include <array>
#include <span>
#include <string_view>

#include "assertion/algorithm.h"
#include "assertion/custody_trial.h"
#include "assertion/error.h"
#include "p11/session.h"

namespace assertion::p11 {

// What the trials of a token's custody share.

struct NamedType {
  CK_ATTRIBUTE_TYPE type;
  std::string_view name;
};

// The attributes that hold a private key of the algorithm's type.
std::span<const NamedType> SecretsOf(const Algorithm& algorithm);

// Takes what should not have come out, and wipes it.
class Spill {
 public:
  static constexpr CK_ULONG kSize = 8192;  // a wrapped RSA-4096 key has 2.4 KB

  Spill() = default;
  ~Spill() { OPENSSL_cleanse(octets_.data(), octets_.size()); }
  Spill(const Spill&) = delete;
  Spill& operator=(const Spill&) = delete;

  CK_BYTE* data() { return octets_.data(); }
  bool HoldsAnything() const {
    return std::ranges::any_of(octets_, [](auto octet) { return octet != 0; });
  }

 private:
  std::array<CK_BYTE, kSize> octets_{};
};

// `when_taken`: what CKR_OK means. A failure of the token is no refusal.
WayOutcome OutcomeOf(CK_RV rv, WayOutcome when_taken);

struct TrialAnswer {
  CK_RV rv;
  bool out;  // something secret came out
};
Result<TrialAnswer> ReadSecret(Session& session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type);

}  // namespace assertion::p11
