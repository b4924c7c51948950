#include "keys/kept_ledgers.h"

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>
#include <utility>

#include "jws/compact.h"
#include "jws/foreign_json.h"
#include "jws/thumbprint.h"
#include "keys/pending_changes.h"

namespace assertion {
namespace {

// The client that a payload that cannot be read speaks of, if it tells that much.
std::string ClientOf(const std::string& payload) {
  const auto json = jws::ParseForeign(payload);
  const auto found = json.is_object() ? json.find("client_id") : json.end();
  return json.is_object() && found != json.end() && found->is_string() ? found->get<std::string>() : "";
}

// Two servers may seal the same by two keys, and a takeover adds a seal to what was there.
bool SayTheSame(const KeptLedgers::Version& one, const KeptLedgers::Version& other) {
  auto left = *one.ledger;
  auto right = *other.ledger;
  if (!one.sealed() || !other.sealed()) {
    left.previous = right.previous = "";
  }
  return left == right;
}

// A change removes all versions but its own and the one that it was made from, so of those that are at hand one is
// that. Not always the next lower: a change that the emergency brake overtook leaves its version beside. What this
// process saw before is no measure for the same reason; there the version numbers tell.
bool ContinuesAnother(const std::vector<KeptLedgers::Version>& versions) {
  const auto& newest = versions.front();
  bool has_older = false;
  for (const auto& version : versions) {
    if (version.sealed() && version.ledger->version < newest.ledger->version) {
      has_older = true;
      if (version.hash == newest.ledger->previous) {
        return true;
      }
    }
  }
  return !has_older || !newest.sealed() || newest.ledger->previous.empty();
}

}  // namespace

Result<std::string> LedgerSeal::Write(const ClientLedger& ledger) { return seal_.Sign(Seal::kLedger, ToJson(ledger)); }

Result<JudgedLedger> LedgerSeal::Judge(std::string_view text) {
  const auto hash = jws::Sha256Thumbprint(AsBytes(text));
  {
    const MutexLock lock(mutex_);
    if (const auto found = known_.find(hash); found != known_.end()) {
      found->second.round = round_;
      return found->second.judged;
    }
  }
  auto judged = JudgeAnew(text);
  if (judged && !judged->kid.empty()) {
    const MutexLock lock(mutex_);
    known_.insert_or_assign(hash, Known{.judged = *judged, .round = round_});
  }
  return judged;
}

Result<JudgedLedger> LedgerSeal::JudgeAnew(std::string_view text) {
  JudgedLedger judged;
  if (text.starts_with('{')) {
    auto ledger = ParseUnsignedLedger(text);
    ASSIGN_OR_RETURN(const auto settled, ledger ? seal_.IsSettled() : Result<bool>(true));
    if (settled) {
      judged.reason = "it is not signed";
    } else {
      judged.ledger = std::make_shared<const ClientLedger>(std::move(*ledger));
    }
    return judged;
  }
  const auto payload = seal_.Open(Seal::kLedger, text);
  if (!payload && payload.error().code != Code::kLedgerUnusable) {
    return std::unexpected(payload.error());
  }
  if (!payload) {
    judged.reason = payload.error().message;
    return judged;
  }
  const auto parsed = jws::ParseCompact(text);
  judged.kid = parsed ? parsed->header.value("kid", "") : "";
  auto ledger = ParseLedger(*payload);
  if (ledger) {
    judged.hash = HashOf(*ledger);
    judged.ledger = std::make_shared<const ClientLedger>(std::move(*ledger));
  } else {
    judged.error = Error{.code = ledger.error().code, .message = ledger.error().message, .detail = ClientOf(*payload)};
  }
  return judged;
}

Result<Ledger::Takeover> LedgerSeal::TakeOver(const ReadAll& read, const SealUnsigned& seal_unsigned) {
  Ledger::Takeover done;
  ASSIGN_OR_RETURN(const auto settled, seal_.IsSettled());
  if (settled) {
    const auto has_key = seal_.Settle();
    return has_key ? Result<Ledger::Takeover>(done) : std::unexpected(has_key.error());
  }
  const auto found = read();
  if (!found) {
    return std::unexpected(found.error());
  }
  if (!found->ledgers.empty() || !found->errors.empty()) {
    RETURN_IF_ERROR(seal_.BeginTakeover());
    RETURN_IF_ERROR(seal_unsigned(done));
  }
  const auto dropped = DropUnsignedChanges(token_);
  RETURN_IF_ERROR(dropped ? seal_.Settle() : std::unexpected(dropped.error()));
  done.dropped = *dropped;
  return done;
}

void LedgerSeal::EndRound() {
  const MutexLock lock(mutex_);
  std::erase_if(known_, [this](const auto& entry) REQUIRES(mutex_) { return entry.second.round != round_; });
  ++round_;
}

void KeptLedgers::AddStray(std::string_view label, std::string reason) {
  strays_.push_back({.name = Shown(label), .reason = std::move(reason)});
}

void KeptLedgers::Add(std::size_t place, std::string_view label, JudgedLedger judged) {
  const auto named = judged.ledger ? judged.ledger->client_id : judged.error ? judged.error->detail : std::string();
  if (judged.ledger && !label.empty() && label != named) {
    AddStray(label, "it is the ledger of client '" + Shown(named) + "', not of the client whose label it bears");
  } else if (judged.ledger) {
    versions_[named].push_back(
        {.place = place, .ledger = std::move(judged.ledger), .kid = judged.kid, .hash = judged.hash});
  } else if (judged.error && (!label.empty() || !named.empty())) {
    const auto client_id = label.empty() ? named : std::string(label);
    errors_.emplace(client_id, Error{.code = Code::kLedgerUnusable,
                                     .message = "the ledger of client '" + Shown(client_id) + "' cannot be read",
                                     .detail = judged.error->message});
  } else {
    AddStray(label, judged.error ? "it is signed and names no client" : judged.reason);
  }
}

Result<std::vector<KeptLedgers::Version>> KeptLedgers::VersionsOf(const std::string& client_id) const {
  if (const auto error = errors_.find(client_id); error != errors_.end()) {
    return std::unexpected(error->second);
  }
  const auto found = versions_.find(client_id);
  if (found == versions_.end()) {
    return std::vector<Version>();
  }
  auto versions = found->second;
  // If two have the same content, the sealed one comes first.
  std::ranges::stable_sort(versions, std::greater(),
                           [](const auto& version) { return std::pair(version.ledger->version, version.sealed()); });
  for (const auto& version : versions) {
    if (version.ledger->version == versions.front().ledger->version && !SayTheSame(versions.front(), version)) {
      return Fail(Code::kLedgerUnusable, "there are two different ledgers of version " +
                                             std::to_string(version.ledger->version) + " of client '" +
                                             Shown(client_id) + "'");
    }
  }
  if (!ContinuesAnother(versions)) {
    return Fail(Code::kLedgerUnusable, "the ledger of client '" + Shown(client_id) + "' of version " +
                                           std::to_string(versions.front().ledger->version) +
                                           " was made from none of the older ones that are kept beside it");
  }
  return versions;
}

std::vector<std::string> KeptLedgers::clients() const {
  std::set<std::string> all;
  for (const auto& [client_id, versions] : versions_) {
    all.insert(client_id);
  }
  for (const auto& [client_id, error] : errors_) {
    all.insert(client_id);
  }
  return {all.begin(), all.end()};
}

LedgerContents KeptLedgers::Contents() const {
  LedgerContents contents;
  for (const auto& client_id : clients()) {
    const auto versions = VersionsOf(client_id);
    if (versions) {
      contents.ledgers.emplace(client_id, *versions->front().ledger);
      if (versions->front().sealed()) {
        contents.signed_by.emplace(client_id, versions->front().kid);
      }
    } else {
      contents.errors.emplace(client_id, versions.error());
    }
  }
  contents.strays = strays_;
  std::ranges::sort(contents.strays, {}, [](const auto& stray) { return std::tie(stray.name, stray.reason); });
  return contents;
}

}  // namespace assertion
