#include "policy/listed.h"

#include <algorithm>

#include "assertion/spiffe_id.h"
#include "policy/requested.h"

namespace assertion {

// A SPIFFE ID has no empty and no dot segments, so it cannot leave the path that it begins with.
bool MatchesIdentity(std::string_view pattern, std::string_view identity) {
  if (!pattern.ends_with("/*")) {
    return pattern == identity;
  }
  pattern.remove_suffix(1);
  return identity.size() > pattern.size() && identity.starts_with(pattern) && IsSpiffeId(identity);
}

bool IsListed(const Caller& caller, const std::vector<std::string>& patterns) {
  return std::ranges::any_of(patterns, [&](const auto& pattern) {
    return std::ranges::any_of(caller.identities(),
                               [&](const auto& identity) { return MatchesIdentity(pattern, identity); });
  });
}

std::unexpected<Error> Denied(const Caller& caller, std::string_view what) {
  return Fail(Code::kPermissionDenied, "you are known here as " + QuotedRequest(caller.name()) + ", who may not " +
                                           std::string(what) + "; ask those who run assertiond to list you");
}

}  // namespace assertion
