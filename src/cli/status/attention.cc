#include "cli/status/attention.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "assertion/algorithm.h"
#include "assertion/key_record.h"
#include "cli/command_line.h"
#include "cli/instant.h"
#include "cli/key/key_text.h"
#include "cli/text.h"

namespace assertion::cli {
namespace {

constexpr std::chrono::days kHandOverWarning{7};

using Keys = std::vector<const v1::Key*>;

// Key.key_bits is 0 where the HSM lacks the key, or has it with a flaw.
bool CanSign(const v1::Key& key) {
  return key.state() == v1::KEY_STATE_SIGNING && key.waits_for().empty() && key.key_bits() != 0;
}

std::string At(const google::protobuf::Timestamp& timestamp, Time now) {
  const auto time = ToTime(timestamp);
  return InstantText(time) + (time == kNever ? "" : " (" + Relative(time, now) + ")");
}

// Whether a key of the client is scheduled to sign when `key` stops.
bool HasSuccessor(const v1::Key& key, const Keys& keys) {
  return std::ranges::any_of(keys, [&](const auto* other) {
    return other->kid() != key.kid() && other->state() != v1::KEY_STATE_WITHDRAWN &&
           ToTime(other->sign_from()) <= ToTime(key.sign_until()) &&
           ToTime(other->sign_until()) > ToTime(key.sign_until());
  });
}

// A key of the client that no schedule lets sign, other than `key`; null: there is none.
const v1::Key* UnscheduledKey(const v1::Key& key, const Keys& keys) {
  const auto found = std::ranges::find_if(keys, [&](const auto* other) {
    return other->kid() != key.kid() && other->state() != v1::KEY_STATE_WITHDRAWN &&
           ToTime(other->sign_from()) == kNever;
  });
  return found == keys.end() ? nullptr : *found;
}

// The attention that keys of one client need.
class ClientAttention {
 public:
  ClientAttention(std::string client_id, const Keys& keys, Time now, std::vector<Attention>& found)
      : client_id_(std::move(client_id)), keys_(keys), now_(now), found_(found) {}

  void Find() {
    FindKeyless();
    for (const auto* key : keys_) {
      if (key->state() == v1::KEY_STATE_SIGNING) {
        FindOfSigning(*key);
      } else if (key->state() == v1::KEY_STATE_STAGED || key->state() == v1::KEY_STATE_PUBLISHED) {
        FindOfComing(*key);
      } else if (key->state() == v1::KEY_STATE_RETIRING) {
        Add(false, *key,
            (HasReaders(*key) ? "retires: published until " : "retires until ") + At(key->publish_until(), now_), "");
      }
    }
  }

 private:
  void Add(bool wrong, const v1::Key& key, std::string text, std::string next) {
    found_.push_back(
        {.wrong = wrong, .client_id = client_id_, .kid = key.kid(), .text = std::move(text), .next = std::move(next)});
  }

  std::string Command(const std::string& verb, const std::string& kid = {}) const {
    return "assertionctl key " + verb + " " +
           (kid.empty() ? "--client-id " + QuotedForShell(client_id_) : KeyFlags(client_id_, kid));
  }

  // The order matters: an identity server that holds one certificate refuses a key whose certificate it lacks.
  std::string ScheduleAdvice(const v1::Key& key, const std::string& sign_from) const {
    const auto publish = HasReaders(key) ? "an identity server that holds one certificate, as WSO2, needs the key's "
                                           "first: assertionctl certificate get " +
                                               KeyFlags(client_id_, key.kid()) + "; then "
                                         : std::string();
    return publish + Command("schedule", key.kid()) + " --sign-from " + sign_from;
  }

  bool HasExpired(const v1::Key& key) const { return !key.x5t_s256().empty() && ToTime(key.not_after()) < now_; }

  void FindKeyless() {
    const auto is_signing = [](const auto* key) { return key->state() == v1::KEY_STATE_SIGNING; };
    if (std::ranges::any_of(keys_, is_signing)) {
      return;
    }
    found_.push_back({.wrong = true,
                      .client_id = client_id_,
                      .kid = {},
                      .text = keys_.empty() ? "has no key" : "none of its keys signs",
                      .next = Command(keys_.empty() ? "generate" : "list")});
  }

  void FindOfSigning(const v1::Key& key) {
    if (!key.waits_for().empty()) {
      Add(true, key, "cannot sign: waits for " + key.waits_for(),
          HasExpired(key) ? "once there is a certificate for this key: " + Command("import-certificate", key.kid()) +
                                " --certificate FILE, and it signs again at once"
                          : Command("show", key.kid()));
    } else if (std::ranges::none_of(keys_, [&](const auto* one) { return one->kid() == key.kid() && CanSign(*one); })) {
      Add(true, key, "cannot sign: it is not on the HSM, or is not what the ledger says",
          "assertionctl doctor --config FILE");
    }
    FindExpiry(key);
    const auto until = ToTime(key.sign_until());
    if (!HasSuccessor(key, keys_) && until != kNever) {
      const auto* waiting = UnscheduledKey(key, keys_);
      Add(false, key, "signs until " + At(key.sign_until(), now_) + ", and no key follows",
          waiting == nullptr ? Command("rotate") : ScheduleAdvice(*waiting, Rfc3339(until)));
    } else if (until < now_ + kHandOverWarning) {
      Add(false, key, "signs until " + At(key.sign_until(), now_) + ", then its successor", "");
    }
  }

  // A server that does not sign with an expired certificate says that the key waits for another.
  void FindExpiry(const v1::Key& key) {
    const auto expiry = ExpiryCell(key, now_);
    if (expiry.shade == Shade::kBad && key.waits_for().empty()) {
      Add(false, key, "certificate until " + expiry.text + ", and signs all the same: sign_with_expired_certificate",
          "");
    } else if (expiry.shade != Shade::kPlain) {
      Add(expiry.shade == Shade::kBad, key, "certificate until " + expiry.text,
          Command("rotate") +
              (HasExpired(key) ? ": a new key, which with a JWK Set signs only after publish_lead" : ""));
    }
  }

  void FindOfComing(const v1::Key& key) {
    const auto waits = key.waits_for().empty() ? "" : "; waits for " + key.waits_for();
    const bool unscheduled = ToTime(key.sign_from()) == kNever;
    Add(false, key,
        std::string(StateName(key.state())) +
            (unscheduled ? ": no time is set from which on it signs" : ": signs from " + At(key.sign_from(), now_)) +
            waits,
        unscheduled ? ScheduleAdvice(key, "now") : "");
  }

  const std::string client_id_;
  const Keys& keys_;
  const Time now_;
  std::vector<Attention>& found_;
};

Attention RolledBack(const v1::RolledBackLedger& ledger) {
  return {.wrong = true,
          .client_id = ledger.client_id(),
          .kid = {},
          .text = "its ledger on HSM " + ledger.hsm() + " was rolled back or lost: version " +
                  std::to_string(ledger.found()) + ", and " + std::to_string(ledger.seen()) + " was seen before",
          .next = "restore the later one, or see assertionctl key accept-ledger --help",
          .hsm = ledger.hsm()};
}

std::map<std::string, Keys> KeysByClient(const v1::ListKeysResponse& response) {
  std::map<std::string, Keys> clients;
  for (const auto& [client_id, version] : response.versions()) {
    clients[client_id];
  }
  for (const auto& key : response.keys()) {
    clients[key.client_id()].push_back(&key);
  }
  return clients;
}

}  // namespace

std::vector<Attention> AttentionTo(const v1::ListKeysResponse& response, Time now) {
  std::vector<Attention> found;
  if (!response.refused_configuration().empty()) {
    found.push_back(
        {.wrong = true,
         .client_id = {},
         .kid = {},
         .text = "the last reload was refused, so the one before is in force: " + response.refused_configuration(),
         .next = "correct the file, check it with assertiond --check-config FILE, and reload; a field that "
                 "takes a restart needs one"});
  }
  for (const auto& ledger : response.rolled_back_ledgers()) {
    found.push_back(RolledBack(ledger));
  }
  for (const auto& [client_id, keys] : KeysByClient(response)) {
    if (!keys.empty() || !LacksItsLedger(response, client_id)) {
      ClientAttention(client_id, keys, now, found).Find();
    }
  }
  for (const auto& left : response.left_clients()) {
    found.push_back({.wrong = false,
                     .client_id = left.client_id(),
                     .kid = {},
                     .text = "is not in the configuration, and its ledger on HSM " + left.hsm() + " has " +
                             std::to_string(left.keys()) + (left.keys() == 1 ? " key" : " keys"),
                     .next = "put the client back and destroy its keys (assertionctl key destroy --help), or keep them",
                     .hsm = left.hsm()});
  }
  std::ranges::stable_partition(found, &Attention::wrong);
  return found;
}

void ApproveRather(const v1::ListPendingChangesResponse& pending, std::vector<Attention>& attention) {
  for (auto& one : attention) {
    const bool wants_key =
        one.next.starts_with("assertionctl key generate ") || one.next.starts_with("assertionctl key rotate ");
    const auto makes_it = [&](const v1::PendingChange& change) {
      return change.client_id() == one.client_id &&
             (change.method() == "GenerateKey" || change.method() == "RotateKey" || change.method() == "ImportKey");
    };
    if (wants_key && std::ranges::any_of(pending.changes(), makes_it)) {
      one.next = "a key is requested already, see it with: assertionctl key pending";
    }
  }
}

std::vector<KeysOfType> ByType(const v1::ListKeysResponse& response) {
  std::map<std::pair<std::string, std::string>, Keys> types;
  for (const auto& key : response.keys()) {
    if (key.state() != v1::KEY_STATE_WITHDRAWN) {
      const auto* algorithm = FindAlgorithm(key.algorithm());
      const auto type = algorithm == nullptr ? key.algorithm() : std::string(algorithm->key_type().name);
      types[{key.hsm(), type}].push_back(&key);
    }
  }
  std::vector<KeysOfType> listed;
  listed.reserve(types.size());
  for (auto& [kind, keys] : types) {
    listed.push_back({.hsm = kind.first, .type = kind.second, .keys = std::move(keys)});
  }
  return listed;
}

Attention AttentionTo(const KeysOfType& keys, const std::string& custody) {
  const auto count = keys.keys.size();
  return {.wrong = false,
          .client_id = {},
          .kid = {},
          .text = "custody of " + keys.type + " keys " + custody + "; it has " + std::to_string(count) + " such key" +
                  (count == 1 ? "" : "s"),
          .next = "assertionctl doctor --config FILE --try",
          .hsm = keys.hsm};
}

std::optional<Attention> AttentionTo(const TlsEnd& end, Time now) {
  if (end.end - now >= kExpiryWarning) {
    return std::nullopt;
  }
  return Attention{.wrong = end.end < now,
                   .client_id = {},
                   .kid = {},
                   .text = (end.file == "client_ca" ? "an authority of tls." : "the certificate of tls.") + end.file +
                           (end.end < now ? " expired " : " expires ") + Relative(end.end, now),
                   .next = "deploy/runbook.md, section AssertiondTlsCertificateExpires"};
}

std::vector<Attention> AttentionToLost(const v1::ListKeysResponse& response, const std::set<std::string>& lost) {
  std::vector<Attention> found;
  for (const auto& [client_id, keys] : KeysByClient(response)) {
    const auto signs = [](const v1::Key* key) { return CanSign(*key); };
    const auto first = std::ranges::find_if(keys, signs);
    if (first != keys.end() &&
        std::ranges::none_of(keys, [&](const v1::Key* key) { return CanSign(*key) && !lost.contains(key->hsm()); })) {
      found.push_back({.wrong = true,
                       .client_id = client_id,
                       .kid = (*first)->kid(),
                       .text = "cannot sign while HSM " + (*first)->hsm() + " does not: no other HSM has a key for it",
                       .next = {}});
    }
  }
  return found;
}

std::size_t SigningClients(const v1::ListKeysResponse& response, const std::set<std::string>& lost) {
  std::set<std::string> clients;
  for (const auto& key : response.keys()) {
    if (CanSign(key) && !lost.contains(key.hsm())) {
      clients.insert(key.client_id());
    }
  }
  return clients.size();
}

}  // namespace assertion::cli
