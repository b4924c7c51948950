#include "keys/pending_changes.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "jws/base64url.h"
#include "keys/machine_lock.h"

namespace assertion {
namespace {

constexpr std::string_view kApplication = "assertiond pending";
constexpr std::size_t kIdOctets = 16;

std::string ToJson(const PendingChange& change) {
  return nlohmann::json{{"method", change.method},
                        {"client_id", change.client_id},
                        {"kid", change.kid},
                        {"request", jws::Base64UrlEncode(AsBytes(change.request))},
                        {"digest", change.digest},
                        {"requested_by", change.requested_by},
                        {"expires_at", change.expires_at.time_since_epoch().count()}}
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// Nothing when the object is not one of ours, or not whole.
std::optional<PendingChange> Parse(const TokenData& data) {
  if (!data.is_private) {
    return std::nullopt;  // may be anybody's: no PIN is needed to make it
  }
  try {
    const auto json = nlohmann::json::parse(data.value);
    const auto request = jws::Base64UrlDecode(json.at("request").get<std::string>());
    if (!request) {
      return std::nullopt;
    }
    return PendingChange{.id = data.label,
                         .method = json.at("method").get<std::string>(),
                         .client_id = json.at("client_id").get<std::string>(),
                         .kid = json.at("kid").get<std::string>(),
                         .request = std::string(request->begin(), request->end()),
                         .digest = json.at("digest").get<std::string>(),
                         .requested_by = json.at("requested_by").get<std::vector<std::string>>(),
                         .expires_at = Time(std::chrono::seconds(json.at("expires_at").get<std::int64_t>()))};
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

}  // namespace

Result<PendingChange> PendingChanges::Add(PendingChange change) {
  const auto lock = MachineLock::TakeFor(token_);
  const auto waiting = lock ? Sweep() : std::unexpected(lock.error());
  if (!waiting) {
    return std::unexpected(waiting.error());
  }
  if (*waiting >= kMost) {
    return Fail(Code::kResourceExhausted, "too many changes wait for approval; approve or withdraw some");
  }
  Bytes id(kIdOctets);
  if (!random_(id)) {
    return Fail(Code::kInternal, "the random number generator failed");
  }
  change.id = Hex(id);
  const auto stored = token_.StoreData(kApplication, change.id, ToJson(change));
  return stored ? Result<PendingChange>(std::move(change)) : std::unexpected(stored.error());
}

// Removes what is too old, or none of ours; tells how many are left.
Result<std::size_t> PendingChanges::Sweep() {
  const auto data = token_.FindData(kApplication, "");
  if (!data) {
    return std::unexpected(data.error());
  }
  std::size_t left = 0;
  for (const auto& object : *data) {
    const auto change = Parse(object);
    if (change && change->expires_at > clock_()) {
      ++left;
    } else if (!object.is_private) {
      continue;  // doctor names it
    } else if (auto destroyed = token_.DestroyObject(object.handle); !destroyed) {
      return std::unexpected(destroyed.error());
    }
  }
  return left;
}

Result<std::vector<PendingChange>> PendingChanges::List() const {
  const auto data = token_.FindData(kApplication, "");
  if (!data) {
    return std::unexpected(data.error());
  }
  const auto now = clock_();
  std::vector<PendingChange> changes;
  for (const auto& object : *data) {
    if (auto change = Parse(object); change && change->expires_at > now) {
      changes.push_back(std::move(*change));
    }
  }
  std::ranges::sort(changes, {}, &PendingChange::expires_at);
  return changes;
}

Result<PendingChange> PendingChanges::Find(std::string_view id, std::string_view digest) const {
  auto changes = List();
  if (!changes) {
    return std::unexpected(changes.error());
  }
  const auto found = std::ranges::find(*changes, id, &PendingChange::id);
  if (id.empty() || found == changes->end()) {
    return Fail(Code::kNotFound, "id: no such change waits for approval, or its time is over");
  }
  if (found->digest != digest) {
    return Fail(Code::kFailedPrecondition, "digest: is not that of the change; look at it again");
  }
  return std::move(*found);
}

Status PendingChanges::Remove(std::string_view id) {
  if (id.empty()) {
    return Fail(Code::kNotFound, "id: must not be empty");
  }
  const auto lock = MachineLock::TakeFor(token_);
  const auto data = lock ? token_.FindData(kApplication, id) : std::unexpected(lock.error());
  if (!data) {
    return std::unexpected(data.error());
  }
  for (const auto& object : *data) {
    if (auto destroyed = token_.DestroyObject(object.handle); !destroyed) {
      return destroyed;
    }
  }
  return {};
}

}  // namespace assertion
