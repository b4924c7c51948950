#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace assertion::audit {

// A version of a client's ledger that was in use: a line of the log, so that after a restart an older one is known for
// what it is. The log's current file holds the highest of each client and HSM: they are written anew when it is
// rotated.
struct LedgerVersion {
  std::string hsm;     // the token's label
  std::string serial;  // the token's
  std::string client_id;
  std::int64_t version = 0;
  std::string hash;  // base64url of the SHA-256 of what it says
};

inline constexpr std::string_view kLedgerVersion = "LedgerVersion";

}  // namespace assertion::audit
