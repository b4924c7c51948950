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
  return nlohmann::json{{"id", change.id},
                        {"method", change.method},
                        {"client_id", change.client_id},
                        {"kid", change.kid},
                        {"request", jws::Base64UrlEncode(AsBytes(change.request))},
                        {"digest", change.digest},
                        {"requested_by", change.requested_by},
                        {"expires_at", change.expires_at.time_since_epoch().count()}}
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// Nothing when it is not whole.
std::optional<PendingChange> Parse(const std::string& payload) {
  try {
    const auto json = nlohmann::json::parse(payload);
    const auto request = jws::Base64UrlDecode(json.at("request").get<std::string>());
    if (!request) {
      return std::nullopt;
    }
    return PendingChange{.id = json.at("id").get<std::string>(),
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
  Bytes id(kIdOctets);
  if (!random_(id)) {
    return Fail(Code::kInternal, "the random number generator failed");
  }
  change.id = Hex(id);
  const auto text = seal_.Sign(Seal::kPendingChange, ToJson(change));
  const auto lock = text ? MachineLock::TakeFor(token_, kBeside) : std::unexpected(text.error());
  ASSIGN_OR_RETURN(const auto waiting, lock ? Sweep() : std::unexpected(lock.error()));
  RETURN_IF_ERROR(CheckRoom(waiting, change));
  const auto stored = token_.StoreData(kApplication, change.id, *text);
  return stored ? Result<PendingChange>(std::move(change)) : std::unexpected(stored.error());
}

// One operator leaves room for others, and all of them together for a revocation.
Status PendingChanges::CheckRoom(const std::vector<PendingChange>& waiting, const PendingChange& next) {
  const auto first_of = [](const PendingChange& change) {
    return change.requested_by.empty() ? std::string_view() : std::string_view(change.requested_by.front());
  };
  const auto of_one = std::ranges::count(waiting, first_of(next), first_of);
  if (std::cmp_greater_equal(of_one, kMostOfOne)) {
    return Fail(Code::kResourceExhausted,
                "too many changes that you asked for wait for approval; have some approved, or withdraw them");
  }
  if (waiting.size() >= kMost - (next.method == "RevokeKey" ? 0 : kKeptForRevocations)) {
    return Fail(Code::kResourceExhausted, "too many changes wait for approval; approve or withdraw some");
  }
  return {};
}

// `id`: of one; empty: all.
Result<PendingChanges::Kept> PendingChanges::Read(std::string_view id) const {
  ASSIGN_OR_RETURN(const auto data, token_.FindData(kApplication, id));
  Kept kept;
  const auto refuse = [&](const TokenData& object, std::string reason) {
    kept.strays.push_back({.name = Shown(object.label), .reason = std::move(reason)});
  };
  for (const auto& object : data) {
    if (!object.is_private) {
      refuse(object, "it is a public object: anybody may have made it");
      continue;
    }
    const auto payload = seal_.Open(Seal::kPendingChange, object.value);
    if (!payload && payload.error().code != Code::kLedgerUnusable) {
      return std::unexpected(payload.error());
    }
    auto change = payload ? Parse(*payload) : std::nullopt;
    if (!payload) {
      refuse(object, payload.error().message);
    } else if (!change || change->id != object.label) {
      refuse(object, change ? "it is another change than its label says" : "it is signed and is no change");
    } else {
      kept.changes.emplace_back(object.handle, std::move(*change));
    }
  }
  std::ranges::sort(kept.strays, {}, &StrayText::name);
  return kept;
}

// Removes what is too old; tells what is left. What is not ours is for an operator to see.
Result<std::vector<PendingChange>> PendingChanges::Sweep() {
  ASSIGN_OR_RETURN(auto kept, Read(""));
  std::vector<PendingChange> left;
  for (auto& [handle, change] : kept.changes) {
    if (change.expires_at > clock_()) {
      left.push_back(std::move(change));
    } else if (auto destroyed = token_.DestroyObject(handle); !destroyed) {
      return std::unexpected(destroyed.error());
    }
  }
  return left;
}

Result<std::vector<PendingChange>> PendingChanges::List() const {
  ASSIGN_OR_RETURN(auto kept, Read(""));
  const auto now = clock_();
  std::vector<PendingChange> changes;
  for (auto& [handle, change] : kept.changes) {
    if (change.expires_at > now) {
      changes.push_back(std::move(change));
    }
  }
  std::ranges::sort(changes, {}, &PendingChange::expires_at);
  return changes;
}

Result<std::vector<StrayText>> PendingChanges::Strays() const {
  auto kept = Read("");
  return kept ? Result<std::vector<StrayText>>(std::move(kept->strays)) : std::unexpected(kept.error());
}

Result<PendingChange> PendingChanges::Find(std::string_view id, std::string_view digest) const {
  ASSIGN_OR_RETURN(auto changes, List());
  const auto found = std::ranges::find(changes, id, &PendingChange::id);
  if (id.empty() || found == changes.end()) {
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
  const auto lock = MachineLock::TakeFor(token_, kBeside);
  ASSIGN_OR_RETURN(const auto kept, lock ? Read(id) : std::unexpected(lock.error()));
  for (const auto& [handle, change] : kept.changes) {
    if (auto destroyed = token_.DestroyObject(handle); !destroyed) {
      return destroyed;
    }
  }
  return {};
}

Result<std::size_t> DropUnsignedChanges(Token& token) {
  const auto lock = MachineLock::TakeFor(token);
  ASSIGN_OR_RETURN(const auto data, lock ? token.FindData(kApplication, "") : std::unexpected(lock.error()));
  std::size_t dropped = 0;
  for (const auto& object : data) {
    if (!object.is_private || !object.value.starts_with('{')) {
      continue;
    }
    RETURN_IF_ERROR(token.DestroyObject(object.handle));
    ++dropped;
  }
  return dropped;
}

}  // namespace assertion
