#include "cli/status/server_status.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>

#include "cli/call.h"
#include "cli/instant.h"
#include "cli/key/key_text.h"
#include "cli/key/pending_change.h"
#include "cli/table.h"
#include "cli/text.h"

namespace assertion::cli {
namespace {

using nlohmann::ordered_json;

constexpr const char* kNotShown = "not shown: the call failed";
constexpr std::size_t kMostLines = 20;  // of attention: the whole fits on a screen

std::string Counted(std::size_t count, const char* noun) {
  return std::to_string(count) + ' ' + noun + (count == 1 ? "" : "s");
}

bool HasFailed(const ServerStatus& status, std::string_view method) {
  return std::ranges::find(status.failed, method, &FailedCall::method) != status.failed.end();
}

std::string NextOfFailed(const FailedCall& failed) {
  return failed.next.empty() ? AdviceOn(failed.error) : failed.next;
}

bool IsReady(const ServerStatus& status) { return status.ready && (!status.monitored || status.monitored->ready); }

std::map<std::string, std::size_t> KeysByHsm(const ServerStatus& status) {
  std::map<std::string, std::size_t> hsms;
  if (status.monitored) {
    for (const auto& hsm : status.monitored->hsms) {
      hsms[hsm.label];
    }
  }
  if (status.keys) {
    for (const auto& hsm : status.keys->hsms()) {
      hsms[hsm];
    }
    for (const auto& key : status.keys->keys()) {
      ++hsms[key.hsm()];
    }
  }
  return hsms;
}

const MonitoredHsm* FindMonitored(const ServerStatus& status, const std::string& label) {
  if (!status.monitored) {
    return nullptr;
  }
  const auto found = std::ranges::find(status.monitored->hsms, label, &MonitoredHsm::label);
  return found == status.monitored->hsms.end() ? nullptr : &*found;
}

std::string QueueText(const MonitoredHsm& hsm) {
  return "queue " + std::to_string(hsm.waiting) + " of " + std::to_string(hsm.capacity) + ", sessions " +
         std::to_string(hsm.busy) + " busy of " + std::to_string(hsm.open) + ", " +
         Counted(static_cast<std::size_t>(std::max(hsm.failures, 0L)), "failure");
}

void AddReadiness(const ServerStatus& status, std::vector<Row>& rows) {
  rows.push_back({"server", status.server + (status.version.empty() ? "" : ", assertiond " + status.version)});
  const bool ready = IsReady(status);
  rows.push_back({"readiness", ready ? Cell("ready", Shade::kGood) : Cell("not ready", Shade::kBad)});
  if (HasFailed(status, kMonitorCall)) {
    rows.back().back() = ready ? Cell("ready as gRPC tells it; /readyz was not read", Shade::kWaiting)
                               : Cell("not ready; /readyz was not read", Shade::kBad);
  } else if (status.monitored) {
    for (const auto& reason : status.monitored->reasons) {
      rows.push_back({"", {reason, ready ? Shade::kWaiting : Shade::kBad}});
    }
  } else if (!ready) {
    rows.push_back({"", "/readyz says why: name the server's admin_listen with --monitor"});
  }
}

void AddHsms(const ServerStatus& status, std::vector<Row>& rows) {
  for (const auto& [label, keys] : KeysByHsm(status)) {
    auto& row = rows.emplace_back(Row{"HSM " + label, status.keys ? Counted(keys, "key") : "keys not shown"});
    if (const auto* hsm = FindMonitored(status, label)) {
      row.back().text += ", " + QueueText(*hsm) + (hsm->usable ? "" : ", does not sign");
      row.back().shade = hsm->usable ? Shade::kPlain : Shade::kBad;
    }
  }
}

// None while the server is not ready, as without its HSM: it refuses all calls then.
std::size_t CountSigning(const ServerStatus& status) {
  if (!IsReady(status) && !HasFailed(status, kReadinessCall)) {
    return 0;
  }
  return SigningClients(*status.keys, status.monitored ? LostHsms(*status.monitored) : std::set<std::string>());
}

std::string ClientsText(const ServerStatus& status) {
  return status.keys ? std::to_string(CountSigning(status)) + " of " +
                           Counted(static_cast<std::size_t>(status.keys->versions().size()), "client") + " can sign"
                     : kNotShown;
}

std::string WaitingText(const ServerStatus& status) {
  return status.pending ? Counted(static_cast<std::size_t>(status.pending->changes_size()), "change") +
                              (status.pending->changes_size() == 0 ? "" : ": assertionctl key pending")
                        : kNotShown;
}

std::string AuditText(const ServerStatus& status) {
  if (!status.audit) {
    return HasFailed(status, "GetAuditHead") ? kNotShown : "turned off";
  }
  return "line " + std::to_string(status.audit->sequence()) + ", checkpoint at " +
         std::to_string(status.audit->checkpoint_sequence()) + ", hash " + status.audit->hash();
}

// Two columns: what, and how it is.
std::vector<Row> Overview(const ServerStatus& status) {
  std::vector<Row> rows;
  AddReadiness(status, rows);
  if (!status.refusal.empty()) {
    rows.push_back({"keys", "not shown: " + status.refusal});
    return rows;
  }
  AddHsms(status, rows);
  rows.push_back({"clients", ClientsText(status)});
  rows.push_back({"pending", WaitingText(status)});
  rows.push_back({"audit log", AuditText(status)});
  return rows;
}

// As much of a kid as tells all kids apart; whole where they are not known.
std::string KidCell(const ServerStatus& status, const std::string& kid) {
  return kid.empty() ? "-" : status.keys ? kid.substr(0, ShortKidLength(*status.keys)) : kid;
}

std::vector<v1::PendingChange> ChangesOf(const ServerStatus& status) {
  return status.pending ? std::vector(status.pending->changes().begin(), status.pending->changes().end())
                        : std::vector<v1::PendingChange>();
}

std::string SubjectOf(const Attention& attention) {
  return !attention.client_id.empty() ? attention.client_id
         : attention.hsm.empty()      ? "configuration"
                                      : "HSM " + attention.hsm;
}

std::string AttentionText(const ServerStatus& status, Time now, bool coloured) {
  std::vector<Row> rows;
  for (const auto& failed : status.failed) {
    const auto next = NextOfFailed(failed);
    rows.push_back(
        {{"wrong", Shade::kBad}, failed.method, "-", failed.error.message + (next.empty() ? "" : "; next: " + next)});
  }
  if (status.monitored) {
    for (const auto& hsm : LostHsms(*status.monitored)) {
      rows.push_back(
          {{"wrong", Shade::kBad}, "HSM " + hsm, "-", "does not sign; next: assertionctl doctor --config FILE"});
    }
  }
  for (const auto& attention : status.attention) {
    rows.push_back({attention.wrong ? Cell("wrong", Shade::kBad) : Cell("soon", Shade::kWaiting), SubjectOf(attention),
                    KidCell(status, attention.kid),
                    attention.text + (attention.next.empty() ? "" : "; next: " + attention.next)});
  }
  for (const auto& change : ChangesOf(status)) {
    rows.push_back(
        {{"waits", Shade::kWaiting},
         change.client_id(),
         KidCell(status, change.kid()),
         change.method() +
             (change.requester_lost_role()
                  ? " cannot be approved: its requester may not change keys any more"
                  : " for a second person, " + Relative(ToTime(change.expires_at()), now) + " at the latest") +
             "; next: assertionctl key pending"});
  }
  if (rows.empty()) {
    return "nothing needs attention\n";
  }
  const auto left = rows.size() - std::min(rows.size(), kMostLines);
  rows.resize(rows.size() - left);
  return "needs attention\n" + TableText(rows, coloured, 2) +
         (left == 0 ? "" : "  and " + std::to_string(left) + " more: assertionctl status --json lists all\n");
}

// Null: the listener that was named did not answer, so nobody knows all of it.
ordered_json ReadyJson(const ServerStatus& status) {
  return IsReady(status) && HasFailed(status, kMonitorCall) ? ordered_json() : ordered_json(IsReady(status));
}

ordered_json FailedJson(const ServerStatus& status) {
  auto json = ordered_json::array();
  for (const auto& failed : status.failed) {
    json.push_back({{"call", failed.method}, {"text", failed.error.message}, {"next", NextOfFailed(failed)}});
  }
  return json;
}

ordered_json HsmsJson(const ServerStatus& status) {
  auto hsms = ordered_json::array();
  for (const auto& [label, keys] : KeysByHsm(status)) {
    ordered_json json = {{"hsm", label}, {"keys", status.keys ? ordered_json(keys) : ordered_json()}};
    if (const auto* hsm = FindMonitored(status, label)) {
      json["usable"] = hsm->usable;
      json["queue"] = {{"jobs", hsm->waiting}, {"capacity", hsm->capacity}};
      json["sessions"] = {{"busy", hsm->busy}, {"open", hsm->open}};
      json["failures"] = hsm->failures;
    }
    hsms.push_back(std::move(json));
  }
  return hsms;
}

}  // namespace

bool AllWell(const ServerStatus& status) {
  const bool hsms_sign = !status.monitored || std::ranges::all_of(status.monitored->hsms, &MonitoredHsm::usable);
  return IsReady(status) && hsms_sign && status.failed.empty() &&
         std::ranges::none_of(status.attention, &Attention::wrong);
}

std::string StatusText(const ServerStatus& status, Time now, bool coloured) {
  auto text = TableText(Overview(status), coloured);
  if (status.refusal.empty()) {
    text.append("\n").append(AttentionText(status, now, coloured));
  }
  return text;
}

ordered_json StatusJson(const ServerStatus& status) {
  ordered_json json = {{"server", status.server}, {"ready", ReadyJson(status)}};
  if (status.monitored) {
    json["reasons"] = status.monitored->reasons;
  }
  if (!status.refusal.empty()) {
    json["refusal"] = status.refusal;
    json["failed"] = FailedJson(status);
    return json;
  }
  json["version"] = status.version;
  json["hsms"] = HsmsJson(status);
  json["clients"] = ordered_json();
  if (status.keys) {
    json["clients"] = {{"configured", status.keys->versions().size()}, {"can_sign", CountSigning(status)}};
  }
  json["failed"] = FailedJson(status);
  json["attention"] = ordered_json::array();
  for (const auto& attention : status.attention) {
    json["attention"].push_back({{"level", attention.wrong ? "wrong" : "soon"},
                                 {"client_id", attention.client_id},
                                 {"kid", attention.kid},
                                 {"hsm", attention.hsm},
                                 {"text", attention.text},
                                 {"next", attention.next}});
  }
  json["pending"] = status.pending ? ordered_json::array() : ordered_json();
  for (const auto& change : ChangesOf(status)) {
    json["pending"].push_back(PendingJson(change));
  }
  json["audit"] = ordered_json();
  if (status.audit) {
    json["audit"] = {{"sequence", status.audit->sequence()},
                     {"hash", status.audit->hash()},
                     {"checkpoint_sequence", status.audit->checkpoint_sequence()}};
  }
  return json;
}

}  // namespace assertion::cli
