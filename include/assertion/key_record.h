#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "assertion/algorithm.h"
#include "assertion/attribute_names.h"
#include "assertion/bytes.h"
#include "assertion/clock.h"

namespace assertion {

// 9999-12-31T23:59:59Z: RFC 5280 section 4.1.2.5 writes it when there is no end.
inline constexpr Time kNever{std::chrono::seconds(253'402'300'799)};

enum class KeyState { kStaged, kPublished, kSigning, kRetiring, kWithdrawn };

// Where a key was born. kGenerated: assertiond had the token generate it. kAdopted: other means made it on the token,
// and an operator took it over. kImported: another party made it, and an operator put it into the token.
enum class KeyOrigin { kGenerated, kAdopted, kImported };

// A key's origin, as audit lines state it. Empty: it was generated.
constexpr std::string_view OriginNote(KeyOrigin origin) {
  return origin == KeyOrigin::kAdopted    ? "adopted, born outside"
         : origin == KeyOrigin::kImported ? "imported, born outside"
                                          : "";
}

// One key of a client in the ledger. The clock and four instants decide what the key may do:
// publish_from <= sign_from <= sign_until <= publish_until; each instant belongs to the phase that begins with it.
struct KeyRecord {
  std::string kid;
  const Algorithm* algorithm;
  Bytes id;                               // CKA_ID
  std::vector<std::string> certificates;  // the x5t#S256 values (RFC 7515 section 4.1.8), leaf first; may be empty
  Time publish_from = kNever;
  Time sign_from = kNever;
  Time sign_until = kNever;
  Time publish_until = kNever;
  KeyOrigin origin = KeyOrigin::kGenerated;
  // Custody attributes that its token refused in a template, so that they were not asked for at its birth. Unset:
  // unknown, because other means made the key, or an assertiond that did not record it.
  std::optional<AttributeNames> not_asked = std::nullopt;

  KeyState StateAt(Time now) const {
    return now >= publish_until ? KeyState::kWithdrawn
           : now < publish_from ? KeyState::kStaged
           : now < sign_from    ? KeyState::kPublished
           : now < sign_until   ? KeyState::kSigning
                                : KeyState::kRetiring;
  }
  bool SignsAt(Time now) const { return sign_from <= now && now < sign_until; }
  bool PublishedAt(Time now) const { return publish_from <= now && now < publish_until; }

  friend bool operator==(const KeyRecord&, const KeyRecord&) = default;
};

}  // namespace assertion
