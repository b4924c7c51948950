#include "policy/requested.h"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

#include "assertion/foreign_text.h"
#include "assertion/nearest_word.h"
#include "jws/object_text.h"
#include "policy/policy.h"

namespace assertion {
namespace {

// Names the audience that a slip of the hand made `wanted` of; empty: there is none. A third of a URL, as NearestWord
// takes, is no slip.
std::string NearestAudience(const std::vector<std::string>& audiences, std::string_view wanted) {
  constexpr std::size_t kSlip = 3;
  std::vector<std::string_view> close;  // others cost time, and cannot be meant
  std::ranges::copy_if(audiences, std::back_inserter(close), [&](const std::string& audience) {
    return audience.size() <= wanted.size() + kSlip && wanted.size() <= audience.size() + kSlip;
  });
  const auto nearest = NearestWord(wanted, close);
  return nearest.empty() || EditDistance(wanted, nearest) > kSlip ? ""
                                                                  : "; did you mean " + QuotedRequest(nearest) + "?";
}

std::unexpected<Error> TooManyOctets(const std::string& field) {
  return Fail(Code::kInvalidArgument,
              field + ": more than " + std::to_string(Policy::kMaxExtraClaimsOctets) + " octets as JSON");
}

// Names the audience that `wanted` misses by a slash at its end or the case of a letter; empty: there is none.
std::string SameButForSlashAndCase(const std::vector<std::string>& audiences, std::string_view wanted) {
  const auto plain = [](std::string_view text) {
    std::string lower(text.substr(0, text.find_last_not_of('/') + 1));
    std::ranges::transform(lower, lower.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c; });
    return lower;
  };
  const auto found = std::ranges::find(audiences, plain(wanted), plain);
  return found == audiences.end() ? "" : "; did you mean " + QuotedRequest(*found) + "?";
}

}  // namespace

std::string QuotedRequest(std::string_view text) {
  constexpr std::size_t kMostShown = 80;
  return Quoted(text, kMostShown);
}

Result<std::size_t> RequestedAudience(const Client& client, std::string_view wanted) {
  if (wanted.empty()) {
    return 0U;
  }
  const auto found = std::ranges::find(client.audiences, wanted);
  if (found == client.audiences.end()) {
    auto meant = SameButForSlashAndCase(client.audiences, wanted);
    if (meant.empty()) {
      meant = NearestAudience(client.audiences, wanted);
    }
    return Fail(Code::kInvalidArgument, "audience: " + QuotedRequest(wanted) + " is not configured for client " +
                                            QuotedRequest(client.client_id) + "; it must match octet for octet" +
                                            meant);
  }
  return static_cast<std::size_t>(found - client.audiences.begin());
}

Result<std::chrono::seconds> RequestedLifetime(const Client& client, std::optional<std::chrono::seconds> wanted) {
  const auto lifetime = wanted.value_or(client.default_lifetime);
  if (lifetime <= std::chrono::seconds::zero()) {
    return Fail(Code::kInvalidArgument, "lifetime: must be at least 1s");
  }
  if (lifetime > client.max_lifetime) {
    return Fail(Code::kInvalidArgument, "lifetime: " + std::to_string(lifetime.count()) +
                                            "s is above this client's maximum of " +
                                            std::to_string(client.max_lifetime.count()) + "s");
  }
  return lifetime;
}

Result<std::string> RequestedClaims(
    const CallerClaims& claims, const std::function<Status(std::string_view name, const std::string& field)>& allow) {
  std::string field(claims.field);
  if (claims.json.empty()) {
    if (claims.object == nullptr) {
      return std::string();
    }
    for (const auto& [name, value] : claims.object->items()) {
      RETURN_IF_ERROR(allow(name, field));
    }
    auto text = claims.object->dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    return text.size() > Policy::kMaxExtraClaimsOctets ? Result<std::string>(TooManyOctets(field))
                                                       : text.substr(1, text.size() - 2);
  }
  if (claims.object != nullptr) {
    return Fail(Code::kInvalidArgument, field + "_json: must not be set beside " + field);
  }
  field += "_json";
  if (claims.json.size() > Policy::kMaxExtraClaimsOctets) {
    return TooManyOctets(field);
  }
  const auto parsed = jws::ParseObjectText(claims.json);
  if (!parsed) {
    return Fail(parsed.error().code, field + ": " + parsed.error().message);
  }
  for (const auto& member : parsed->members) {
    RETURN_IF_ERROR(allow(member.name, field));
  }
  return std::string(parsed->inside);
}

}  // namespace assertion
