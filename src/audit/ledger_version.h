#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace assertion::audit {

// A version of a client's ledger that was in use. The log records it, so that an older ledger is recognised after a
// restart. The log's current file holds the highest version of each client and HSM: a rotation writes them again.
struct LedgerVersion {
  std::string hsm;     // label of the token
  std::string serial;  // serial number of the token
  std::string client_id;
  std::int64_t version = 0;
  std::string hash;  // base64url of the SHA-256 of its content
};

inline constexpr std::string_view kLedgerVersion = "LedgerVersion";

}  // namespace assertion::audit
