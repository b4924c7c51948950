#include "policy/token_scope.h"

#include <algorithm>
#include <cstddef>
#include <set>
#include <vector>

#include "assertion/nearest_word.h"
#include "policy/listed.h"
#include "policy/policy.h"
#include "policy/requested.h"

namespace assertion {
namespace {

bool MayHave(const Caller& caller, const TokenSource::Scope& scope) {
  return scope.callers.empty() || IsListed(caller, scope.callers);
}

// The refusal of a scope that is not configured. A caller who may have tokens of the client probably mistyped it. Names
// no scope that the caller may not have, and tells others only what they may not do.
std::unexpected<Error> NoSuchScope(const Caller& caller, const TokenSource& source, std::string_view name) {
  std::vector<std::string_view> own;
  for (const auto& scope : source.scopes) {
    if (MayHave(caller, scope)) {
      own.push_back(scope.name);
    }
  }
  if (source.scopes.empty()) {
    return Fail(Code::kPermissionDenied,
                "scope: the client's configuration names no scopes: ask without " + QuotedRequest(name));
  }
  return own.empty() ? Denied(caller, "ask for the scope " + QuotedRequest(name))
                     : Fail(Code::kPermissionDenied, "scope: the client's configuration names no scope " +
                                                         QuotedRequest(name) + DidYouMean(name, own));
}

bool HasName(std::string_view names, std::string_view separators, std::string_view name) {
  for (std::size_t at = 0; at <= names.size();) {
    const auto end = std::min(names.find_first_of(separators, at), names.size());
    if (names.substr(at, end - at) == name) {
      return true;
    }
    at = end + 1;
  }
  return false;
}

}  // namespace

Result<std::string> AllowedTokenScope(const Caller& caller, const TokenSource& source, std::string_view wanted) {
  std::set<std::string_view> scopes;
  if (wanted.size() > Policy::kMaxScopeOctets) {
    return Fail(Code::kInvalidArgument, "scope: more than " + std::to_string(Policy::kMaxScopeOctets) + " octets");
  }
  for (std::size_t at = 0; !wanted.empty() && at <= wanted.size();) {
    const auto end = std::min(wanted.find(' ', at), wanted.size());
    const auto name = wanted.substr(at, end - at);
    const auto found = std::ranges::find(source.scopes, name, &TokenSource::Scope::name);
    if (found == source.scopes.end()) {
      return NoSuchScope(caller, source, name);
    }
    if (!MayHave(caller, *found)) {
      return Denied(caller, "ask for the scope " + QuotedRequest(name));
    }
    scopes.insert(name);
    at = end + 1;
  }
  for (const auto& scope : source.scopes) {
    if (wanted.empty() && MayHave(caller, scope)) {
      scopes.insert(scope.name);
    }
  }
  if (scopes.empty() && !source.scopes.empty()) {
    return Denied(caller, "ask for any of the client's scopes");
  }
  std::string text;
  for (const auto scope : scopes) {
    text.append(text.empty() ? "" : " ").append(scope);
  }
  return text;
}

Status CheckGrantedScope(const Caller& caller, const TokenSource& source, std::string_view granted) {
  const bool grants_others = std::ranges::any_of(source.scopes, [&](const auto& scope) {
    // Some servers put commas between names; a name may have commas, too.
    return !MayHave(caller, scope) && (HasName(granted, " ", scope.name) || HasName(granted, " ,", scope.name));
  });
  return grants_others
             ? Fail(Code::kFailedPrecondition,
                    "scope: the identity server granted a scope that was not asked and that the caller may not have; "
                    "have it grant what is asked")
             : Status();
}

}  // namespace assertion
