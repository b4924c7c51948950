#include "keys/pending_changes.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "jws/base64url.h"
#include "jws/foreign_json.h"
#include "jws/thumbprint.h"
#include "keys/key_change_text.h"
#include "keys/machine_lock.h"

namespace assertion {
namespace {

constexpr std::string_view kApplication = "assertiond pending";

constexpr int kVersion = 2;

std::string DigestOf(std::string_view method, std::string_view text) {
  return jws::Sha256Thumbprint(AsBytes(std::string(method) + ":" + std::string(text)));
}

std::unexpected<Error> NotWhatWasShown() {
  return Fail(Code::kFailedPrecondition, "digest: is not that of what is kept on the token");
}

std::unexpected<Error> NotThere() {
  return Fail(Code::kNotFound, "id: no such change waits for approval, or its time is over");
}

std::string Serialize(const PendingChange& change, const std::string& text) {
  return nlohmann::json{{"version", kVersion},
                        {"id", change.id},
                        {"change", text},
                        {"digest", change.digest},
                        {"requested_by", change.requested_by},
                        {"expires_at", change.expires_at.time_since_epoch().count()}}
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// The members that both formats have. Throws nlohmann's exceptions.
PendingChange ReadEnvelope(const nlohmann::json& json) {
  return {.id = json.at("id").get<std::string>(),
          .method = {},
          .client_id = {},
          .kid = {},
          .change = KeyChange(),
          .digest = json.at("digest").get<std::string>(),
          .requested_by = json.at("requested_by").get<std::vector<std::string>>(),
          .expires_at = Time(std::chrono::seconds(json.at("expires_at").get<std::int64_t>()))};
}

PendingChange ReadFirstFormat(const nlohmann::json& json, const PendingChanges::ReadRequest& read_request) {
  auto change = ReadEnvelope(json);
  change.method = json.at("method").get<std::string>();
  change.client_id = json.at("client_id").get<std::string>();
  change.kid = json.at("kid").get<std::string>();
  const auto octets = jws::Base64UrlDecode(json.at("request").get<std::string>());
  const std::string request = octets ? std::string(octets->begin(), octets->end()) : std::string();
  if (!octets || DigestOf(change.method, request) != change.digest) {
    change.change = NotWhatWasShown();
  } else {
    change.change = read_request
                        ? read_request(change.method, request)
                        : Fail(Code::kFailedPrecondition, "id: this program does not read changes of this format");
  }
  return change;
}

std::optional<PendingChange> ReadSecondFormat(const nlohmann::json& json) {
  constexpr std::size_t kMembers = 6;
  const auto text = json.at("change").get<std::string>();
  auto parsed = ParseKeyChange(text);
  if (!parsed || json.size() != kMembers) {
    return std::nullopt;
  }
  auto change = ReadEnvelope(json);
  change.method = MethodOf(*parsed);
  change.client_id = RequestOf(*parsed).client_id;
  change.kid = KidOf(*parsed);
  change.change =
      DigestOf(change.method, text) == change.digest ? Result<KeyChange>(std::move(*parsed)) : NotWhatWasShown();
  return change;
}

// Unset when it is no whole change in a format that this version knows.
std::optional<PendingChange> ParsePendingChange(const std::string& payload,
                                                const PendingChanges::ReadRequest& read_request) {
  try {
    const auto json = jws::ParseForeign(payload);
    if (!json.contains("version")) {
      return ReadFirstFormat(json, read_request);
    }
    return json.at("version") == kVersion ? ReadSecondFormat(json) : std::nullopt;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

}  // namespace

Result<PendingChange> PendingChanges::Add(KeyChange change, std::vector<std::string> requested_by, Time expires_at) {
  ASSIGN_OR_RETURN(const auto id, RandomId(random_));
  const auto text = TextOf(change);
  const std::string method(MethodOf(change));
  PendingChange pending{.id = Hex(id),
                        .method = method,
                        .client_id = RequestOf(change).client_id,
                        .kid = std::string(KidOf(change)),
                        .change = std::move(change),
                        .digest = DigestOf(method, text),
                        .requested_by = std::move(requested_by),
                        .expires_at = expires_at};
  ASSIGN_OR_RETURN(const auto sealed, seal_.Sign(Seal::kPendingChange, Serialize(pending, text)));
  ASSIGN_OR_RETURN(const auto lock, MachineLock::TakeFor(token_, kBeside));
  ASSIGN_OR_RETURN(const auto waiting, List());
  ASSIGN_OR_RETURN(auto repeated, FindRepeated(waiting, pending));
  if (repeated) {
    return std::move(*repeated);
  }
  RETURN_IF_ERROR(CheckRoom(waiting, pending));
  RETURN_IF_ERROR(Store(pending.id, sealed));
  return pending;
}

// The change that waits since the same operator asked for it under the same request id. Ids of other operators do not
// count, so that none can occupy another's.
Result<std::optional<PendingChange>> PendingChanges::FindRepeated(const std::vector<PendingChange>& waiting,
                                                                  const PendingChange& next) {
  const auto& request = RequestOf(*next.change);
  const auto found = std::ranges::find_if(waiting, [&](const PendingChange& change) {
    return change.change && change.client_id == next.client_id && change.requested_by == next.requested_by &&
           RequestOf(*change.change).request_id == request.request_id;
  });
  if (request.request_id.empty() || found == waiting.end()) {
    return std::nullopt;
  }
  if (found->method != next.method || RequestOf(*found->change).digest != request.digest) {
    return Fail(Code::kInvalidArgument, "request_id: was used for another request, your change " + found->id + " (" +
                                            found->method + "), which waits: leave it out, or choose another");
  }
  return *found;
}

// One operator leaves room for others, and all operators together leave room for a revocation.
Status PendingChanges::CheckRoom(const std::vector<PendingChange>& waiting, const PendingChange& next) {
  const auto first_of = [](const PendingChange& change) {
    return change.requested_by.empty() ? std::string_view() : std::string_view(change.requested_by.front());
  };
  const auto of_one = std::ranges::count(waiting, first_of(next), first_of);
  if (std::cmp_greater_equal(of_one, kMostOfOne)) {
    return Fail(Code::kResourceExhausted,
                "too many changes that you asked for wait for approval; have some approved, or withdraw them");
  }
  const bool is_revocation = next.change && std::holds_alternative<KeyRevocation>(*next.change);
  if (waiting.size() >= kMost - (is_revocation ? 0 : kKeptForRevocations)) {
    return Fail(Code::kResourceExhausted, "too many changes wait for approval; approve or withdraw some");
  }
  return {};
}

// kLedgerUnusable: it is a stray, and the message says why. Any other error is the token's.
Result<PendingChange> PendingChanges::Unseal(const std::string& sealed) const {
  ASSIGN_OR_RETURN(const auto payload, seal_.Open(Seal::kPendingChange, sealed));
  auto change = ParsePendingChange(payload, read_request_);
  if (!change) {
    return Fail(Code::kLedgerUnusable, "it is signed and is no change");
  }
  return std::move(*change);
}

Status PendingChanges::ReadToken(std::string_view id, Kept& kept) const {
  ASSIGN_OR_RETURN(const auto data, token_.FindData(kApplication, id));
  const auto refuse = [&](const TokenData& object, std::string reason) {
    kept.strays.push_back({.name = Shown(object.label), .reason = std::move(reason)});
  };
  for (const auto& object : data) {
    if (!object.is_private) {
      refuse(object, "it is a public object: anybody may have made it");
      continue;
    }
    auto change = Unseal(object.value);
    if (!change && change.error().code != Code::kLedgerUnusable) {
      return std::unexpected(change.error());
    }
    if (!change) {
      refuse(object, change.error().message);
    } else if (change->id != object.label) {
      refuse(object, "it is another change than its label says");
    } else {
      kept.changes.emplace_back(Place{.object = object.handle, .sealed = object.value}, std::move(*change));
    }
  }
  return {};
}

Status PendingChanges::ReadFile(std::string_view id, Kept& kept) const {
  ASSIGN_OR_RETURN(const auto entries, file_->Read());
  for (std::size_t place = 0; place < entries.size(); ++place) {
    auto change = Unseal(entries[place]);
    if (!change && change.error().code != Code::kLedgerUnusable) {
      return std::unexpected(change.error());
    }
    if (!change) {
      kept.strays.push_back(
          {.name = "entry " + std::to_string(place + 1) + " of " + file_->path(), .reason = change.error().message});
    } else if (id.empty() || change->id == id) {
      kept.changes.emplace_back(Place{.object = {}, .sealed = entries[place]}, std::move(*change));
    }
  }
  return {};
}

// The change with that id, or all changes when it is empty.
Result<PendingChanges::Kept> PendingChanges::Read(std::string_view id) const {
  Kept kept;
  RETURN_IF_ERROR(ReadToken(id, kept));
  if (file_) {
    RETURN_IF_ERROR(ReadFile(id, kept));
  }
  std::ranges::sort(kept.strays, {}, &StrayText::name);
  return kept;
}

Status PendingChanges::Store(const std::string& id, const std::string& sealed) {
  auto stored = token_.StoreData(kApplication, id, sealed);
  if (stored || !file_) {
    return stored;
  }
  RETURN_IF_ERROR(token_.Check());  // a token that is gone may store data objects when it is back
  ASSIGN_OR_RETURN(const auto lock, file_->Lock());
  ASSIGN_OR_RETURN(auto entries, file_->Read());
  entries.push_back(sealed);
  return file_->Write(entries);
}

Status PendingChanges::Destroy(const Place& place) {
  if (place.object) {
    return token_.DestroyObject(*place.object);
  }
  ASSIGN_OR_RETURN(const auto lock, file_->Lock());
  ASSIGN_OR_RETURN(auto entries, file_->Read());
  return std::erase(entries, place.sealed) == 0 ? Status() : file_->Write(entries);
}

// Those whose time is over, or those whose time is not. Strays stay for an operator to see.
Result<std::vector<PendingChange>> PendingChanges::Listed(bool expired) const {
  ASSIGN_OR_RETURN(auto kept, Read(""));
  const auto now = clock_();
  std::vector<PendingChange> changes;
  for (auto& [place, change] : kept.changes) {
    if ((change.expires_at <= now) == expired) {
      changes.push_back(std::move(change));
    }
  }
  std::ranges::sort(changes, {}, &PendingChange::expires_at);
  return changes;
}

Result<std::vector<PendingChange>> PendingChanges::List() const { return Listed(/*expired=*/false); }

Result<std::vector<PendingChange>> PendingChanges::Expired() const { return Listed(/*expired=*/true); }

Result<std::vector<StrayText>> PendingChanges::Strays() const {
  ASSIGN_OR_RETURN(auto kept, Read(""));
  return std::move(kept.strays);
}

Result<PendingChange> PendingChanges::Find(std::string_view id, std::string_view digest) const {
  ASSIGN_OR_RETURN(auto changes, List());
  const auto found = std::ranges::find(changes, id, &PendingChange::id);
  if (id.empty() || found == changes.end()) {
    return NotThere();
  }
  if (found->digest != digest) {
    return Fail(Code::kFailedPrecondition, "digest: is not that of the change; look at it again");
  }
  return std::move(*found);
}

Result<std::string> PendingChanges::Take(std::string_view id, const Patience& patience) {
  ASSIGN_OR_RETURN(const auto lock, MachineLock::TakeFor(token_, patience));
  ASSIGN_OR_RETURN(auto kept, Read(id));
  if (id.empty() || kept.changes.empty()) {
    return NotThere();
  }
  for (const auto& [place, change] : kept.changes) {
    RETURN_IF_ERROR(Destroy(place));
  }
  return std::move(kept.changes.front().first.sealed);
}

Status PendingChanges::PutBack(const std::string& id, const std::string& sealed) {
  ASSIGN_OR_RETURN(const auto lock, MachineLock::TakeFor(token_, kBeside));
  return Store(id, sealed);
}

Result<std::size_t> DropUnsignedChanges(Token& token) {
  ASSIGN_OR_RETURN(const auto lock, MachineLock::TakeFor(token));
  ASSIGN_OR_RETURN(const auto data, token.FindData(kApplication, ""));
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
