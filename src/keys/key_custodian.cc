#include "keys/key_custodian.h"

#include <algorithm>
#include <utility>

#include "jws/thumbprint.h"
#include "x509/certificate.h"
#include "x509/chain.h"

namespace assertion {
namespace {

constexpr std::chrono::seconds kBrakeRefresh{2};  // the next revocation waits for it

Result<KeyRecord*> FindRecord(ClientLedger& ledger, std::string_view kid) {
  const auto found = std::ranges::find(ledger.keys, kid, &KeyRecord::kid);
  if (found == ledger.keys.end()) {
    return Fail(Code::kNotFound, "kid: client '" + ledger.client_id + "' has no such key");
  }
  return &*found;
}

// The kid that the request led to when it was made before; nothing when it is new.
Result<std::optional<std::string>> PastOutcome(const ChangeRequest& change, const ClientLedger& ledger) {
  const auto past = std::ranges::find(ledger.requests, change.request_id, &PastRequest::id);
  if (change.request_id.empty() || past == ledger.requests.end()) {
    return std::nullopt;
  }
  if (past->digest != change.digest) {
    return Fail(
        Code::kInvalidArgument,
        "request_id: was used for another request for client '" + ledger.client_id + "'" +
            (past->kid.empty() ? "" : ", about key " + past->kid) +
            ": leave it out, or choose another (operators share a client's ids; the audit log says who used it)");
  }
  return past->kid;
}

void Remember(const ChangeRequest& change, const std::string& kid, ClientLedger& ledger) {
  if (!change.request_id.empty()) {
    ledger.requests.push_back({.id = change.request_id, .digest = change.digest, .kid = kid});
    if (ledger.requests.size() > ClientLedger::kMostRequests) {
      ledger.requests.erase(ledger.requests.begin());
    }
  }
}

Error Unseen(const ChangeRequest& change, const Error& refresh) {
  return {.code = Code::kLedgerUnusable,
          .message = "the change is made, but the keys cannot be read since (" + refresh.message + "): " +
                     (change.request_id.empty() ? "do not repeat it; look at the client's keys later"
                                                : "repeated under its request_id it is not made again"),
          .detail = refresh.detail};
}

std::vector<std::string> CertificatesOf(const ClientLedger& ledger) {
  std::vector<std::string> all;
  for (const auto& record : ledger.keys) {
    all.insert(all.end(), record.certificates.begin(), record.certificates.end());
  }
  return all;
}

}  // namespace

Result<std::string> KeyCustodian::Change(const ChangeRequest& change, const Edit& edit, const Patience& patience) {
  const auto client = ring_.FindClient(change.client_id);
  if (!client) {
    return Fail(Code::kNotFound, "client_id: no such client is configured");
  }
  std::optional<MutexLock> lock;
  if (!patience.takes_over) {
    lock.emplace(administration_);
  }
  Result<std::string> kid;
  std::int64_t version = 0;  // that this process should see
  {
    const auto whole = token_.Hold();
    ASSIGN_OR_RETURN(const auto hold, ledger_.Take(change.client_id, patience));
    const auto past = PastOutcome(change, hold->current());
    if (!past) {
      return std::unexpected(past.error());
    }
    version = hold->current().version;
    kid = *past ? Result<std::string>(**past) : Edited(change, *client, *hold, edit, version);
    if (kid && patience.takes_over) {  // also when it was made before, perhaps by another server
      ring_.Withdraw(change.client_id, *kid);
    }
  }
  // Also when it failed because the version was another: then this process should see that one.
  const auto refreshed = patience.takes_over ? ring_.RefreshWithin(kBrakeRefresh) : ring_.Refresh();
  const bool seen = !ring_.BrokenLedgers()->contains(change.client_id) && ring_.VersionOf(change.client_id) >= version;
  if (kid && !refreshed && !seen) {  // else the trouble is another client's
    return std::unexpected(Unseen(change, refreshed.error()));
  }
  return kid;
}

// Objects that no ledger names any more go only after the ledger has changed, new ones that none will name at once.
Result<std::string> KeyCustodian::Edited(const ChangeRequest& change, const Client& client, Ledger::Hold& hold,
                                         const Edit& edit, std::int64_t& version) {
  const auto& before = hold.current();
  const auto seen = ring_.SeenVersionOf(client.client_id);
  if (before.version < seen && !change.accepts_older) {
    return Fail(Code::kFailedPrecondition, TooOld(client.client_id, before.version, seen).message);
  }
  if (before.version != change.expected_version) {
    return Fail(Code::kAborted, "expected_version: the keys of client '" + client.client_id + "' are at version " +
                                    std::to_string(before.version) + " now, not " +
                                    std::to_string(change.expected_version) + ": read them again and decide again");
  }
  if (before.version >= seen && change.accepts_older) {
    return Fail(Code::kFailedPrecondition, "the ledger of client '" + client.client_id + "' is of version " +
                                               std::to_string(before.version) +
                                               ", and no later one was seen: there is nothing to accept");
  }
  Draft draft{.now = ring_.Now(),
              .next = before,
              .new_keys = {},
              .new_certificates = {},
              .obsolete_keys = {},
              .adopted_keys = {}};
  const auto made = [&]() -> Result<std::string> {
    auto kid = edit(client, draft);
    if (!kid) {
      return kid;
    }
    if (draft.revocation && draft.next.keys == before.keys) {
      return kid;  // the key is withdrawn already: there is nothing to store
    }
    RETURN_IF_ERROR(CheckSchedule(change, client, before.keys, draft));
    draft.next.version = std::max(hold.next_version(), seen + 1);
    draft.next.previous = before.version == 0 ? "" : HashOf(before);
    Remember(change, *kid, draft.next);
    const auto committed = hold.Commit(draft.next);
    if (hold.overtaken()) {
      draft.new_keys.clear();  // they may be named by what the brake stored: doctor tells
      draft.new_certificates.clear();
      return std::unexpected(committed.error());
    }
    if (!committed && !IsStored(draft)) {
      return std::unexpected(committed.error());
    }
    version = draft.next.version;
    return kid;
  };
  auto kid = made();
  if (!kid) {
    kid.error().detail += Undo(client.client_id, draft);
    return kid;
  }
  Clear(before, draft);
  return kid;
}

Status KeyCustodian::CheckSchedule(const ChangeRequest& change, const Client& client, const Schedule& before,
                                   const Draft& draft) {
  return CheckAll(client, {.before = before,
                           .after = draft.next.keys,
                           .now = draft.now,
                           .may_gap = change.forced,
                           .may_break_binding = change.forced || draft.revocation});
}

// Whether the ledger took the draft although it said that it did not. When nobody can tell, the new objects must stay:
// they may be named by it.
bool KeyCustodian::IsStored(Draft& draft) {
  const auto ledgers = ledger_.Read();
  if (!ledgers) {
    draft.new_keys.clear();
    draft.new_certificates.clear();
    return false;
  }
  const auto found = ledgers->ledgers.find(draft.next.client_id);
  return found != ledgers->ledgers.end() && found->second == draft.next;
}

// The steps that could not be undone, for the log.
std::string KeyCustodian::Undo(const std::string& client_id, const Draft& draft) {
  std::string left;
  std::vector<std::string> thumbprints;
  thumbprints.reserve(draft.new_certificates.size());
  for (const auto& der : draft.new_certificates) {
    thumbprints.push_back(jws::Sha256Thumbprint(der));
  }
  if (const auto destroyed = DestroyCertificates(client_id, thumbprints); !destroyed) {
    left += "; a certificate is left on the token: " + destroyed.error().ToString();
  }
  for (const auto& id : draft.new_keys) {
    if (const auto destroyed = token_.DestroyKey(id); !destroyed) {
      left += "; the new key pair with CKA_ID " + Hex(id) + " is left on the token: " + destroyed.error().ToString();
    }
  }
  return left;
}

// An object that cannot be removed here stays as an orphan, which doctor names.
void KeyCustodian::Clear(const ClientLedger& before, const Draft& draft) {
  for (const auto& id : draft.obsolete_keys) {
    static_cast<void>(token_.DestroyKey(id));
  }
  for (const auto& id : draft.adopted_keys) {
    static_cast<void>(token_.SetLabel(id, before.client_id));  // the ledger finds it by its CKA_ID all the same
  }
  const auto needed = CertificatesOf(draft.next);
  auto obsolete = CertificatesOf(before);
  std::erase_if(obsolete,
                [&](const auto& thumbprint) { return std::ranges::find(needed, thumbprint) != needed.end(); });
  static_cast<void>(DestroyCertificates(before.client_id, obsolete));
}

Status KeyCustodian::DestroyCertificates(const std::string& client_id, const std::vector<std::string>& thumbprints) {
  if (thumbprints.empty()) {
    return {};
  }
  ASSIGN_OR_RETURN(const auto contents, token_.Read({client_id}));
  for (const auto& certificate : contents.certificates) {
    if (std::ranges::find(thumbprints, jws::Sha256Thumbprint(certificate.value)) != thumbprints.end()) {
      if (auto destroyed = token_.DestroyObject(certificate.handle); !destroyed) {
        return destroyed;
      }
    }
  }
  return {};
}

Status KeyCustodian::StoreCertificate(const Client& client, const Bytes& id, const Certificate& certificate,
                                      Draft& draft) {
  ASSIGN_OR_RETURN(const auto subject, x509::SubjectOf(certificate));
  draft.new_certificates.push_back(certificate.der);
  return token_.StoreCertificate(client.client_id, id, subject, certificate.der);
}

// The chain becomes that of the record's key; those of its certificates that are on the token already stay there.
Status KeyCustodian::StoreChain(const Client& client, const PublicKey& key, std::string_view certificates,
                                KeyRecord& record, Draft& draft) {
  ASSIGN_OR_RETURN(const auto chain, x509::ParseChain(certificates));
  RETURN_IF_ERROR(x509::VerifyChain(chain, key, draft.now));
  const auto present = CertificatesOf(draft.next);
  record.certificates.clear();
  for (const auto& certificate : chain) {
    const auto thumbprint = jws::Sha256Thumbprint(certificate.der);
    record.certificates.push_back(thumbprint);
    if (std::ranges::find(present, thumbprint) != present.end()) {
      continue;
    }
    // The leaf stands beside its key; an issuer has an id of its own.
    const bool is_leaf = record.certificates.size() == 1;
    ASSIGN_OR_RETURN(const auto id, is_leaf ? Result<Bytes>(record.id) : RandomId(random_));
    auto stored = StoreCertificate(client, id, certificate, draft);
    if (!stored && !is_leaf && stored.error().code == Code::kInternal) {  // NSS: one label is for one subject
      return Fail(Code::kFailedPrecondition,
                  "certificates: the HSM does not store certificate " + std::to_string(record.certificates.size()) +
                      ", the issuer's, beside the key's: give the key's certificate alone",
                  stored.error().detail);
    }
    RETURN_IF_ERROR(stored);
  }
  return {};
}

Result<x509::NewCertificate> KeyCustodian::SelfSign(const Bytes& id, const PublicKey& key, const NewKeyRequest& request,
                                                    Time now) const {
  return certifier_.SelfSign({.key = {.token = &token_, .id = id, .public_key = key, .algorithm = request.algorithm},
                              .common_name = request.common_name,
                              .subject_alt_names = {},
                              .not_before = now,
                              .not_after = now + request.certificate_validity});
}

// One more key of the client's, within the limits.
Status KeyCustodian::TakePlace(const Client& client, const KeyLimits& limits, const Draft& draft) {
  if (draft.next.keys.size() >= std::min(limits.per_client, ClientLedger::kMostKeys)) {
    return Fail(Code::kFailedPrecondition, "client '" + client.client_id + "' has " +
                                               std::to_string(draft.next.keys.size()) +
                                               " keys, as many as key_limits.per_client allows: destroy those that are "
                                               "withdrawn first");
  }
  const bool first = draft.next.version == 0;  // of its life: what was destroyed counts
  return first ? Status() : made_.Take(client.client_id, limits, std::chrono::steady_clock::now());
}

// A new key pair and its self-signed certificate, both on the token; not scheduled.
Result<KeyRecord> KeyCustodian::MakeKey(const Client& client, const NewKeyRequest& request, Draft& draft,
                                        const PrivateKey* imported) {
  RETURN_IF_ERROR(TakePlace(client, request.limits, draft));
  ASSIGN_OR_RETURN(const auto id, RandomId(random_));
  const auto key =
      PutOnToken({.label = client.client_id, .id = id, .algorithm = request.algorithm, .bits = request.bits}, imported);
  if (!key) {
    made_.GiveBack(client.client_id);
    return std::unexpected(key.error());
  }
  draft.new_keys.push_back(id);
  ASSIGN_OR_RETURN(const auto certificate, SelfSign(id, key->public_key, request, draft.now));
  RETURN_IF_ERROR(StoreCertificate(client, id, certificate.certificate, draft));
  return KeyRecord{.kid = jws::JwkThumbprint(key->public_key),
                   .algorithm = request.algorithm,
                   .id = id,
                   .certificates = {jws::Sha256Thumbprint(certificate.certificate.der)},
                   .origin = imported == nullptr ? KeyOrigin::kGenerated : KeyOrigin::kImported,
                   .not_asked = key->not_asked};
}

// It signs at once if no other key does or will.
Result<std::string> KeyCustodian::AddFirstOrStaged(const Client& client, const NewKeyRequest& request, Draft& draft,
                                                   const PrivateKey* imported) {
  const bool first = !WillSign(draft.next.keys, draft.now);
  ASSIGN_OR_RETURN(auto record, MakeKey(client, request, draft, imported));
  if (first) {
    record.publish_from = record.sign_from = draft.now;
  }
  draft.next.keys.push_back(record);
  return record.kid;
}

Result<std::string> KeyCustodian::Generate(const ChangeRequest& change, const NewKeyRequest& key) {
  return Change(change, [&](const Client& client, Draft& draft) -> Result<std::string> {
    return AddFirstOrStaged(client, key, draft, nullptr);
  });
}

Result<std::string> KeyCustodian::Rotate(const ChangeRequest& change, const NewKeyRequest& key,
                                         std::optional<Time> sign_from) {
  return Change(change, [&](const Client& client, Draft& draft) -> Result<std::string> {
    // A schedule that will be refused is refused before a key is made, which takes long and counts against the limits.
    const auto before = draft.next.keys;
    const KeyRecord planned{.kid = "(new)", .algorithm = key.algorithm, .id = {}, .certificates = {}};
    RETURN_IF_ERROR(CheckAll(client, {.before = before,
                                      .after = WithNext(client, before, planned, sign_from, draft.now),
                                      .now = draft.now,
                                      .may_gap = change.forced,
                                      .may_break_binding = change.forced}));
    ASSIGN_OR_RETURN(const auto record, MakeKey(client, key, draft));
    draft.now = ring_.Now();  // generating it may have taken long, and it is published from now on
    draft.next.keys = WithNext(client, before, record, sign_from, draft.now);
    return record.kid;
  });
}

Result<AdoptionCandidate> KeyCustodian::Examine(const AdoptionQuestion& question) const {
  return ExamineKey(token_, ledger_, ring_.clients(), question, random_);
}

// Undo never touches the key: it was there before.
Result<std::string> KeyCustodian::Adopt(const ChangeRequest& change, const AdoptionRequest& adoption) {
  return Change(change, [&](const Client& client, Draft& draft) -> Result<std::string> {
    const bool first = !WillSign(draft.next.keys, draft.now);
    ASSIGN_OR_RETURN(const auto candidate,
                     Examine({.client_id = client.client_id, .id = adoption.id, .algorithm = adoption.key.algorithm}));
    RETURN_IF_ERROR(CheckAdoptable(candidate, adoption.kid));
    RETURN_IF_ERROR(token_.CheckCustody(*adoption.key.algorithm));  // here, where the lock for changes is held
    RETURN_IF_ERROR(TakePlace(client, adoption.key.limits, draft));
    KeyRecord record{.kid = candidate.kid,
                     .algorithm = adoption.key.algorithm,
                     .id = adoption.id,
                     .certificates = {},
                     .origin = KeyOrigin::kAdopted};
    const auto& public_key = *candidate.public_key;
    if (adoption.certificates.empty()) {
      ASSIGN_OR_RETURN(const auto made, SelfSign(record.id, public_key, adoption.key, draft.now));
      RETURN_IF_ERROR(StoreCertificate(client, record.id, made.certificate, draft));
      record.certificates = {jws::Sha256Thumbprint(made.certificate.der)};
    } else {
      RETURN_IF_ERROR(StoreChain(client, public_key, adoption.certificates, record, draft));
    }
    if (first) {
      record.publish_from = record.sign_from = draft.now;
    }
    draft.adopted_keys.push_back(record.id);
    draft.next.keys.push_back(record);
    return record.kid;
  });
}

Result<std::string> KeyCustodian::ImportCertificate(const ChangeRequest& change, std::string_view kid,
                                                    std::string_view certificates) {
  return Change(change, [&](const Client& client, Draft& draft) -> Result<std::string> {
    ASSIGN_OR_RETURN(const auto record, FindRecord(draft.next, kid));
    const auto entry = ring_.Find(client.client_id, kid);
    if (!entry || !entry->key) {
      return Fail(Code::kFailedPrecondition, "kid: the token does not hold this key any more");
    }
    RETURN_IF_ERROR(StoreChain(client, entry->key->public_key, certificates, *record, draft));
    return std::string(kid);
  });
}

KeyCustodian::Edit KeyCustodian::Rescheduling(std::string_view kid, const Instants& instants) {
  return [kid, instants](const Client& client, Draft& draft) -> Result<std::string> {
    ASSIGN_OR_RETURN(const auto record, FindRecord(draft.next, kid));
    if (instants.sign_from && *instants.sign_from != record->sign_from && record->sign_until <= draft.now) {
      return Fail(Code::kFailedPrecondition, "sign_from: the key stopped signing at " + Rfc3339(record->sign_until) +
                                                 " and does not start again; rotate to a new key");
    }
    draft.next.keys = Rescheduled(client, std::move(draft.next.keys), kid, instants, draft.now);
    return std::string(kid);
  };
}

KeyCustodian::Edit KeyCustodian::Revocation(std::string_view kid) {
  return [kid](const Client& client, Draft& draft) -> Result<std::string> {
    RETURN_IF_ERROR(FindRecord(draft.next, kid));
    draft.revocation = true;
    draft.next.keys = Revoked(client, std::move(draft.next.keys), kid, draft.now);
    return std::string(kid);
  };
}

KeyCustodian::Edit KeyCustodian::Destruction(std::string_view kid, bool forced) {
  return [kid, forced](const Client& client, Draft& draft) -> Result<std::string> {
    ASSIGN_OR_RETURN(const auto record, FindRecord(draft.next, kid));
    if (record->StateAt(draft.now) != KeyState::kWithdrawn && !forced) {
      const bool ends = record->StateAt(draft.now) == KeyState::kRetiring && record->publish_until != kNever;
      return Fail(
          Code::kFailedPrecondition,
          (record->publish_until == kNever ? std::string("kid: no time is set at which the key is withdrawn")
                                           : "kid: the key is not withdrawn before " + Rfc3339(record->publish_until)) +
              (ends ? ": wait until then, revoke it" : ": revoke it first") +
              ", or force its destruction by naming client '" + client.client_id + "'");
    }
    draft.obsolete_keys.push_back(record->id);
    std::erase_if(draft.next.keys, [&](const auto& other) { return other.kid == kid; });
    return std::string(kid);
  };
}

Result<std::string> KeyCustodian::Reschedule(const ChangeRequest& change, std::string_view kid,
                                             const Instants& instants) {
  return Change(change, Rescheduling(kid, instants));
}

Result<std::string> KeyCustodian::Revoke(const ChangeRequest& change, std::string_view kid) {
  return Change(change, Revocation(kid), kBrake);
}

Result<std::string> KeyCustodian::Destroy(const ChangeRequest& change, std::string_view kid) {
  return Change(change, Destruction(kid, change.forced));
}

Status KeyCustodian::CheckReschedule(const ChangeRequest& change, std::string_view kid,
                                     const Instants& instants) const {
  return CheckEdit(change, Rescheduling(kid, instants));
}

Status KeyCustodian::CheckRevoke(const ChangeRequest& change, std::string_view kid) const {
  return CheckEdit(change, Revocation(kid));
}

Status KeyCustodian::CheckDestroy(const ChangeRequest& change, std::string_view kid) const {
  return CheckEdit(change, Destruction(kid, change.forced));
}

Status KeyCustodian::CheckEdit(const ChangeRequest& change, const Edit& edit) const {
  const auto client = ring_.FindClient(change.client_id);
  const auto snapshot = ring_.Snapshot();
  const auto found = snapshot->find(change.client_id);
  if (!client || found == snapshot->end()) {
    return {};
  }
  const auto before = ScheduleOf(found->second);
  Draft draft{.now = ring_.Now(),
              .next = {.client_id = change.client_id, .version = 0, .previous = {}, .keys = before, .requests = {}},
              .new_keys = {},
              .new_certificates = {},
              .obsolete_keys = {},
              .adopted_keys = {}};
  RETURN_IF_ERROR(edit(*client, draft));
  return CheckSchedule(change, *client, before, draft);
}

Result<AcceptedLedger> KeyCustodian::AcceptLedger(const ChangeRequest& change) {
  auto accepting = change;
  accepting.accepts_older = true;
  AcceptedLedger accepted{.found = change.expected_version, .seen = ring_.SeenVersionOf(change.client_id)};
  const auto done = Change(accepting, [](const Client&, Draft&) -> Result<std::string> { return std::string(); });
  if (!done) {
    return std::unexpected(done.error());
  }
  accepted.version = ring_.VersionOf(change.client_id);
  return accepted;
}

Result<std::string> KeyCustodian::CreateCsr(std::string_view client_id, std::string_view kid,
                                            const std::string& subject,
                                            const std::vector<std::string>& subject_alt_names) const {
  const auto entry = ring_.Find(client_id, kid);
  if (!entry) {
    return std::unexpected(entry.error());
  }
  if (!entry->key) {
    return Fail(Code::kFailedPrecondition, "kid: the token does not hold this key any more");
  }
  return certifier_.CreateCsr({.key = {.token = &token_,
                                       .id = entry->record.id,
                                       .public_key = entry->key->public_key,
                                       .algorithm = entry->record.algorithm},
                               .subject = subject,
                               .subject_alt_names = subject_alt_names});
}

}  // namespace assertion
