#pragma once

#include <string>
#include <vector>

#include "assertion/error.h"
#include "assertion/v1/key_admin.pb.h"
#include "cli/connection.h"

namespace assertion::cli {

// An RFC 7638 thumbprint (SHA-256, base64url), and the shortest beginning of one that names a key.
inline constexpr std::size_t kKidLength = 43;
inline constexpr std::size_t kShortestKid = 6;

inline bool IsShortKid(const std::string& typed) { return !typed.empty() && typed.size() < kKidLength; }

// The one of `kids` that begins with `typed`; `typed` itself when none does: the server says what is wrong with it.
// INVALID_ARGUMENT: several do, or it is shorter than kShortestKid and begins one.
Result<std::string> MatchKid(const std::vector<std::string>& kids, const std::string& typed);

// The same for the client's keys in the list; `typed` itself if it is empty or as long as a kid.
Result<std::string> WholeKidIn(const v1::ListKeysResponse& list, const std::string& client_id,
                               const std::string& typed);

// The same for the kids of the client's keys on `connection`'s server. Asks the server only for what is shorter than a
// kid. A caller who may not list keys gets `typed`.
Result<std::string> WholeKid(Connection& connection, const std::string& client_id, const std::string& typed);

}  // namespace assertion::cli
