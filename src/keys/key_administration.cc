#include "keys/key_administration.h"

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <variant>

#include "assertion/foreign_text.h"
#include "jws/thumbprint.h"
#include "keys/evidence.h"
#include "x509/chain.h"
#include "x509/distinguished_name.h"

namespace assertion {
namespace {

using std::chrono::days;
using std::chrono::seconds;

constexpr std::size_t kMaxCommonName = 64;  // RFC 5280 appendix A.1, ub-common-name
constexpr seconds kDefaultValidity = days(365);
constexpr seconds kShortestValidity = days(1);
constexpr seconds kLongestValidity = days(3650);

Result<seconds> ValidityOf(const KeyWishes& wishes) {
  const auto validity = wishes.certificate_validity.value_or(kDefaultValidity);
  if (validity < kShortestValidity || validity > kLongestValidity) {
    return Fail(Code::kInvalidArgument, "certificate_validity: must be whole seconds from 1 day to 3650 days");
  }
  return validity;
}

Result<std::string> CommonNameOf(const KeyWishes& wishes, const std::string& client_id) {
  const auto& name = wishes.common_name;
  if (name.empty()) {
    return client_id.substr(0, kMaxCommonName);
  }
  // Characters, not octets: UTF-8 continuation octets do not count.
  const auto characters = std::ranges::count_if(name, [](char c) { return (c & 0xC0) != 0x80; });
  if (static_cast<std::size_t>(characters) > kMaxCommonName ||
      std::ranges::any_of(name, [](unsigned char c) { return c < 0x20 || c == 0x7F; })) {
    return Fail(Code::kInvalidArgument, "common_name: must be 1 to 64 characters without control characters");
  }
  return name;
}

Status CheckKid(const std::string& kid) {
  return kid.empty() ? Fail(Code::kInvalidArgument, "kid: must not be empty; ListKeys tells it") : Status();
}

Status CheckInstants(const Instants& instants) {
  return instants.publish_from || instants.sign_from || instants.sign_until || instants.publish_until
             ? Status()
             : Fail(Code::kInvalidArgument,
                    "sign_from: give at least one of publish_from, sign_from, sign_until, publish_until");
}

Status CheckCkaId(const Bytes& id) {
  return id.empty() || id.size() > kLongestAdoptedId
             ? Fail(Code::kInvalidArgument, "cka_id: must have 1 to " + std::to_string(kLongestAdoptedId) + " octets")
             : Status();
}

Status CheckForced(const LedgerAcceptance& acceptance) {
  return acceptance.change.forced
             ? Status()
             : Fail(Code::kInvalidArgument,
                    "change.force_client_id: must be the client_id once more: keys that were revoked since this "
                    "ledger was written may sign again");
}

// Verifiers may accept one kind of key alone, so another kind is an operator's word.
Status CheckKind(const Algorithm& present, const Algorithm& next) {
  return &present.key_type() == &next.key_type()
             ? Status()
             : Fail(Code::kFailedPrecondition, "algorithm: the client signs with a key for " +
                                                   std::string(present.name) + ", and its configuration names " +
                                                   std::string(next.name) +
                                                   ": that is another kind of key, so name the algorithm");
}

std::vector<Purpose> PurposesOf(const std::optional<Client>& client) {
  return client ? client->purposes : std::vector<Purpose>();
}

Result<KeyStatus> StatusOf(const AdministeredHsm& hsm, const std::string& client_id, const std::string& kid) {
  ASSIGN_OR_RETURN(auto entry, hsm.keys.Find(client_id, kid));
  auto custody = hsm.token.Describe().CustodyText(entry.record.algorithm->key_type());
  auto waits_for = hsm.keys.WaitsFor(client_id, entry);
  return KeyStatus{.hsm = hsm.name,
                   .client_id = client_id,
                   .entry = std::move(entry),
                   .version = hsm.keys.VersionOf(client_id),
                   .now = hsm.keys.Now(),
                   .custody = std::move(custody),
                   .waits_for = std::move(waits_for),
                   .purposes = PurposesOf(hsm.keys.FindClient(client_id))};
}

// The result that shows the key as it is after the change.
Result<ChangeResult> Changed(const AdministeredHsm& hsm, const ChangeRequest& change, const Result<std::string>& kid) {
  RETURN_IF_ERROR(kid);
  ASSIGN_OR_RETURN(auto key, StatusOf(hsm, change.client_id, *kid));
  ChangeResult result;
  result.key = std::move(key);
  return result;
}

// Leaves out keys of which this HSM has no copy.
void AddKeys(const AdministeredHsm& hsm, const std::string& client_id, KeyList& list) {
  const auto snapshot = hsm.keys.Snapshot();
  const auto found = snapshot->find(client_id);
  if (found == snapshot->end()) {
    return;
  }
  const auto& keys = found->second;
  const auto client = hsm.keys.FindClient(client_id);
  for (const auto& entry : keys.keys) {
    if (entry.key || !keys.copies) {
      list.keys.push_back({.hsm = hsm.name,
                           .client_id = client_id,
                           .entry = entry,
                           .version = keys.version,
                           .now = hsm.keys.Now(),
                           .waits_for = hsm.keys.WaitsFor(client_id, entry),
                           .purposes = PurposesOf(client)});
    }
  }
}

}  // namespace

// An empty name: the first.
Result<AdministeredHsm> KeyAdministration::FindHsm(const std::string& name) const {
  constexpr std::size_t kMostShown = 80;
  std::string known;
  for (const auto& hsm : hsms_()) {
    if (name.empty() || hsm.name == name) {
      return hsm;
    }
    known += (known.empty() ? "" : ", ") + hsm.name;
  }
  return Fail(Code::kNotFound, "hsm: no HSM named " + Quoted(name, kMostShown) + " (available: " + known + ")");
}

Result<AdministeredHsm> KeyAdministration::HsmForNewKey(const std::string& name, const std::string& client_id) const {
  ASSIGN_OR_RETURN(auto hsm, FindHsm(name));
  const auto client = hsm.keys.FindClient(client_id);
  if (client && hsm.keys.HasCopiesOf(*client)) {
    return Fail(Code::kFailedPrecondition, "hsm: the identity server knows one key of client '" + client_id +
                                               "' (binding certificate): make it on the first HSM, and copy it with "
                                               "the means of the HSM's vendor");
  }
  return hsm;
}

// The first HSM that has the key itself, not a copy; else the error of the first HSM.
Result<KeyAdministration::Holder> KeyAdministration::FindHolder(const std::string& client_id,
                                                                const std::string& kid) const {
  std::optional<Error> error;
  for (const auto& hsm : hsms_()) {
    const auto client = hsm.keys.FindClient(client_id);
    if (client && hsm.keys.HasCopiesOf(*client)) {
      continue;
    }
    if (auto entry = hsm.keys.Find(client_id, kid); entry) {
      return Holder{.hsm = hsm, .entry = std::move(*entry)};
    } else if (!error) {
      error = entry.error();
    }
  }
  return std::unexpected(*error);
}

AdministeredHsm KeyAdministration::HolderOrFirst(const std::string& client_id, const std::string& kid) const {
  auto holder = FindHolder(client_id, kid);
  return holder ? holder->hsm : First();
}

Result<NewKeyRequest> KeyAdministration::Complete(const KeyWishes& wishes, const std::string& client_id) const {
  ASSIGN_OR_RETURN(const auto rules, find_rules_(client_id));
  const auto* algorithm = wishes.algorithm.empty() ? rules.algorithm : FindAlgorithm(wishes.algorithm);
  if (algorithm == nullptr) {
    return Fail(Code::kInvalidArgument, "algorithm: must be one of: " + AlgorithmNames());
  }
  const int bits = wishes.bits == 0 ? algorithm->default_key_bits() : wishes.bits;
  if (!algorithm->TakesKeyBits(bits)) {
    return Fail(Code::kInvalidArgument,
                algorithm->curve == nullptr
                    ? "key_bits: must be 2048, 3072 or 4096 of a key for " + std::string(algorithm->name)
                    : "key_bits: must be left out, because every key for " + std::string(algorithm->name) + " has " +
                          std::to_string(algorithm->curve->bits) + " bits");
  }
  ASSIGN_OR_RETURN(auto common_name, CommonNameOf(wishes, client_id));
  ASSIGN_OR_RETURN(const auto validity, ValidityOf(wishes));
  return NewKeyRequest{.algorithm = algorithm,
                       .bits = bits,
                       .common_name = std::move(common_name),
                       .certificate_validity = validity,
                       .limits = rules.limits};
}

Result<AdoptionRequest> KeyAdministration::Complete(const KeyAdoption& adoption) const {
  RETURN_IF_ERROR(CheckCkaId(adoption.cka_id));
  if (adoption.kid.empty()) {
    return Fail(Code::kInvalidArgument, "kid: must not be empty; ExamineKey tells it");
  }
  const auto& wishes = adoption.key;
  if (!adoption.certificates.empty() && (!wishes.common_name.empty() || wishes.certificate_validity)) {
    return Fail(Code::kInvalidArgument,
                "certificates: must not be given together with common_name or certificate_validity");
  }
  ASSIGN_OR_RETURN(auto key, Complete(wishes, adoption.change.client_id));
  return AdoptionRequest{
      .id = adoption.cka_id, .kid = adoption.kid, .certificates = adoption.certificates, .key = std::move(key)};
}

Result<NewKeyRequest> KeyAdministration::Complete(const KeyImport& import) const {
  const auto& client_id = import.change.client_id;
  ASSIGN_OR_RETURN(const auto rules, find_rules_(client_id));
  if (!rules.takes_imported_keys) {
    return Fail(Code::kFailedPrecondition,
                "client_id: the configuration of client '" + client_id +
                    "' does not allow private keys from outside: imported_keys is not true there");
  }
  ASSIGN_OR_RETURN(auto key, Complete(import.key, client_id));
  const auto& half = import.private_key.public_key;
  const auto name = std::string(key.algorithm->name);
  if (!Fits(half, *key.algorithm)) {
    return Fail(Code::kInvalidArgument, "private_key: it is a key for " +
                                            AlgorithmNames([&](const auto& each) { return Fits(half, each); }) +
                                            ", not for " + name + ": name its algorithm");
  }
  if (!key.algorithm->TakesKeyBits(KeyBits(half))) {
    return Fail(Code::kInvalidArgument,
                "private_key: it has " + std::to_string(KeyBits(half)) + " bits, not 2048, 3072 or 4096");
  }
  if (!HasSafeExponent(half)) {
    return Fail(Code::kInvalidArgument,
                "private_key: its public exponent is not an odd number from " + std::to_string(kLeastExponent) + " on");
  }
  return key;
}

// Another HSM, or another client on this one, that has the key, for a message.
std::optional<std::string> KeyAdministration::UserOf(const std::string& kid, const std::string& client_id,
                                                     const std::string& hsm) const {
  for (const auto& one : hsms_()) {
    const auto snapshot = one.keys.Snapshot();
    for (const auto& [other, keys] : *snapshot) {
      if (keys.WithKid(kid) != nullptr && (other != client_id || one.name != hsm)) {
        return "client '" + other + "' on HSM '" + one.name + "'";
      }
    }
  }
  return std::nullopt;
}

Result<KeyAdministration::Examined> KeyAdministration::Examine(const std::string& client_id, const Bytes& cka_id,
                                                               const std::string& algorithm,
                                                               const std::string& hsm) const {
  RETURN_IF_ERROR(CheckCkaId(cka_id));
  KeyWishes wishes;
  wishes.algorithm = algorithm;
  ASSIGN_OR_RETURN(const auto key, Complete(wishes, client_id));
  ASSIGN_OR_RETURN(const auto holder, HsmForNewKey(hsm, client_id));
  ASSIGN_OR_RETURN(auto candidate,
                   holder.custodian.Examine({.client_id = client_id, .id = cka_id, .algorithm = key.algorithm}));
  if (const auto user = UserOf(candidate.kid, client_id, holder.name); user && candidate.obstacles.empty()) {
    candidate.obstacles.push_back("it is a key of " + *user);
  }
  return Examined{.hsm = holder.name, .algorithm = key.algorithm, .candidate = std::move(candidate)};
}

Status KeyAdministration::Check(const KeyChange& change) const {
  return std::visit([this](const auto& one) { return CheckOne(one); }, change);
}

Status KeyAdministration::CheckOne(const KeyGeneration& generation) const {
  RETURN_IF_ERROR(Complete(generation.key, generation.change.client_id));
  RETURN_IF_ERROR(HsmForNewKey(generation.key.hsm, generation.change.client_id));
  return {};
}

Status KeyAdministration::CheckOne(const KeyRotation& rotation) const {
  return CheckOne(KeyGeneration{.change = rotation.change, .key = rotation.key});
}

Status KeyAdministration::CheckOne(const LedgerAcceptance& acceptance) const {
  RETURN_IF_ERROR(CheckForced(acceptance));
  const auto& change = acceptance.change;
  ASSIGN_OR_RETURN(const auto hsm, HsmForNewKey(acceptance.hsm, change.client_id));
  const auto rolled_back = hsm.keys.RolledBack();
  const auto older = rolled_back->find(change.client_id);
  if (older == rolled_back->end() || older->second.found != change.expected_version) {
    return Fail(Code::kFailedPrecondition,
                "change.expected_version: the HSM holds no ledger of this version that is "
                "older than what was seen; /readyz and the log tell the versions");
  }
  return {};
}

Status KeyAdministration::CheckOne(const KeyAdoption& adoption) const {
  RETURN_IF_ERROR(Complete(adoption));
  ASSIGN_OR_RETURN(const auto examined,
                   Examine(adoption.change.client_id, adoption.cka_id, adoption.key.algorithm, adoption.key.hsm));
  return CheckAdoptable(examined.candidate, adoption.kid);
}

// A change of one key.
template <typename Change>
Status KeyAdministration::CheckOne(const Change& change) const {
  RETURN_IF_ERROR(CheckKid(change.kid));
  if constexpr (std::same_as<Change, CertificateImport>) {
    RETURN_IF_ERROR(x509::ParseChain(change.certificates));
  }
  if constexpr (std::same_as<Change, KeyRescheduling>) {
    RETURN_IF_ERROR(CheckInstants(change.instants));
  }
  ASSIGN_OR_RETURN(const auto holder, FindHolder(change.change.client_id, change.kid));
  const auto& custodian = holder.hsm.custodian;
  if constexpr (std::same_as<Change, KeyRescheduling>) {
    return custodian.CheckReschedule(change.change, change.kid, change.instants);
  }
  if constexpr (std::same_as<Change, KeyRevocation>) {
    return custodian.CheckRevoke(change.change, change.kid);
  }
  if constexpr (std::same_as<Change, KeyDestruction>) {
    return custodian.CheckDestroy(change.change, change.kid);
  }
  return {};
}

std::optional<ChangeResult> KeyAdministration::Settled(const KeyChange& change) const {
  const auto* const revocation = std::get_if<KeyRevocation>(&change);
  const auto holder = revocation == nullptr ? Fail(Code::kNotFound, "no revocation")
                                            : FindHolder(revocation->change.client_id, revocation->kid);
  if (!holder) {
    return std::nullopt;
  }
  const auto status = StatusOf(holder->hsm, revocation->change.client_id, revocation->kid);
  if (!status || status->version != revocation->change.expected_version ||
      status->entry.record.StateAt(status->now) != KeyState::kWithdrawn) {
    return std::nullopt;
  }
  ChangeResult result;
  result.key = *status;
  return result;
}

Result<ChangeResult> KeyAdministration::Perform(const KeyChange& change) const {
  return std::visit([this](const auto& one) { return PerformOne(one); }, change);
}

Result<ChangeResult> KeyAdministration::PerformOne(const KeyGeneration& generation) const {
  const auto& change = generation.change;
  ASSIGN_OR_RETURN(const auto key, Complete(generation.key, change.client_id));
  ASSIGN_OR_RETURN(const auto hsm, HsmForNewKey(generation.key.hsm, change.client_id));
  return Changed(hsm, change, hsm.custodian.Generate(change, key));
}

Result<ChangeResult> KeyAdministration::PerformOne(const KeyRotation& rotation) const {
  const auto& change = rotation.change;
  ASSIGN_OR_RETURN(const auto key, Complete(rotation.key, change.client_id));
  ASSIGN_OR_RETURN(const auto hsm, HsmForNewKey(rotation.key.hsm, change.client_id));
  const auto before = hsm.keys.Find(change.client_id, "");
  if (before && rotation.key.algorithm.empty()) {
    RETURN_IF_ERROR(CheckKind(*before->record.algorithm, *key.algorithm));
  }
  ASSIGN_OR_RETURN(auto result, Changed(hsm, change, hsm.custodian.Rotate(change, key, rotation.sign_from)));
  if (before && before->record.kid != result.key->entry.record.kid) {
    if (auto predecessor = StatusOf(hsm, change.client_id, before->record.kid); predecessor) {
      result.predecessor = std::move(*predecessor);
    }
  }
  return result;
}

Result<ChangeResult> KeyAdministration::PerformOne(const CertificateImport& import) const {
  RETURN_IF_ERROR(CheckKid(import.kid));
  const auto hsm = HolderOrFirst(import.change.client_id, import.kid);
  return Changed(hsm, import.change, hsm.custodian.ImportCertificate(import.change, import.kid, import.certificates));
}

Result<ChangeResult> KeyAdministration::PerformOne(const KeyRescheduling& rescheduling) const {
  RETURN_IF_ERROR(CheckKid(rescheduling.kid));
  RETURN_IF_ERROR(CheckInstants(rescheduling.instants));
  const auto hsm = HolderOrFirst(rescheduling.change.client_id, rescheduling.kid);
  return Changed(hsm, rescheduling.change,
                 hsm.custodian.Reschedule(rescheduling.change, rescheduling.kid, rescheduling.instants));
}

Result<ChangeResult> KeyAdministration::PerformOne(const KeyRevocation& revocation) const {
  RETURN_IF_ERROR(CheckKid(revocation.kid));
  const auto hsm = HolderOrFirst(revocation.change.client_id, revocation.kid);
  return Changed(hsm, revocation.change, hsm.custodian.Revoke(revocation.change, revocation.kid));
}

Result<ChangeResult> KeyAdministration::PerformOne(const KeyDestruction& destruction) const {
  RETURN_IF_ERROR(CheckKid(destruction.kid));
  const auto hsm = HolderOrFirst(destruction.change.client_id, destruction.kid);
  ChangeResult result;
  result.destroyed = OriginOf(destruction.change.client_id, destruction.kid);
  RETURN_IF_ERROR(hsm.custodian.Destroy(destruction.change, destruction.kid));
  result.version = hsm.keys.VersionOf(destruction.change.client_id);
  return result;
}

Result<ChangeResult> KeyAdministration::PerformOne(const LedgerAcceptance& acceptance) const {
  RETURN_IF_ERROR(CheckForced(acceptance));
  ASSIGN_OR_RETURN(const auto hsm, HsmForNewKey(acceptance.hsm, acceptance.change.client_id));
  ASSIGN_OR_RETURN(const auto accepted, hsm.custodian.AcceptLedger(acceptance.change));
  ChangeResult result;
  result.ledger = accepted;
  return result;
}

Result<ChangeResult> KeyAdministration::PerformOne(const KeyAdoption& adoption) const {
  const auto& change = adoption.change;
  ASSIGN_OR_RETURN(const auto request, Complete(adoption));
  ASSIGN_OR_RETURN(const auto hsm, HsmForNewKey(adoption.key.hsm, change.client_id));
  if (const auto user = UserOf(request.kid, change.client_id, hsm.name)) {
    return Fail(Code::kFailedPrecondition, "kid: it is a key of " + *user);
  }
  return Changed(hsm, change, hsm.custodian.Adopt(change, request));
}

Result<ChangeResult> KeyAdministration::Import(const KeyImport& import) const {
  const auto& change = import.change;
  ASSIGN_OR_RETURN(const auto key, Complete(import));
  ASSIGN_OR_RETURN(const auto hsm, HsmForNewKey(import.key.hsm, change.client_id));
  if (const auto user = UserOf(jws::JwkThumbprint(import.private_key.public_key), change.client_id, hsm.name)) {
    return Fail(Code::kFailedPrecondition, "private_key: it is a key of " + *user);
  }
  return Changed(hsm, change, hsm.custodian.Import(change, key, import.private_key));
}

std::optional<KeyOrigin> KeyAdministration::OriginOf(const std::string& client_id, const std::string& kid) const {
  const auto holder = kid.empty() ? Fail(Code::kNotFound, "kid: is not named") : FindHolder(client_id, kid);
  return holder ? std::optional(holder->entry.record.origin) : std::nullopt;
}

std::optional<AcceptedLedger> KeyAdministration::LedgerToAccept(const LedgerAcceptance& acceptance) const {
  const auto& change = acceptance.change;
  const auto hsm = HsmForNewKey(acceptance.hsm, change.client_id);
  if (!hsm) {
    return std::nullopt;
  }
  return AcceptedLedger{.found = change.expected_version, .seen = hsm->keys.SeenVersionOf(change.client_id)};
}

Result<std::string> KeyAdministration::CreateCsr(const std::string& client_id, const std::string& kid,
                                                 const std::string& subject,
                                                 const std::vector<std::string>& subject_alt_names) const {
  RETURN_IF_ERROR(CheckKid(kid));
  return HolderOrFirst(client_id, kid)
      .custodian.CreateCsr(client_id, kid, subject.empty() ? x509::CommonName(client_id) : subject, subject_alt_names);
}

Result<std::string> KeyAdministration::CreateEvidence(const std::string& client_id, const std::string& kid) const {
  RETURN_IF_ERROR(CheckKid(kid));
  ASSIGN_OR_RETURN(const auto holder, FindHolder(client_id, kid));
  return MakeEvidence(holder.hsm.token, client_id, holder.entry, holder.hsm.keys.VersionOf(client_id), Now());
}

Result<KeyStatus> KeyAdministration::Get(const std::string& client_id, const std::string& kid) const {
  return StatusOf(HolderOrFirst(client_id, kid), client_id, kid);
}

Result<KeyList> KeyAdministration::List(const std::string& hsm) const {
  ASSIGN_OR_RETURN(const auto first, FindHsm(hsm));
  const auto hsms = hsm.empty() ? hsms_() : std::vector{first};
  KeyList list;
  const auto snapshot = first.keys.Snapshot();
  for (const auto& [client_id, keys] : *snapshot) {
    list.versions[client_id] = keys.version;
    for (const auto& one : hsms) {
      AddKeys(one, client_id, list);
    }
  }
  for (const auto& one : hsms) {
    list.hsms.push_back(one.name);
    const auto left = one.keys.KeysLeftBehind();
    for (const auto& [client_id, keys] : *left) {
      list.left.push_back({.hsm = one.name, .client_id = client_id, .keys = keys});
    }
    const auto rolled_back = one.keys.RolledBack();
    for (const auto& [client_id, versions] : *rolled_back) {
      list.rolled_back.push_back({.hsm = one.name, .client_id = client_id, .versions = versions});
    }
  }
  return list;
}

}  // namespace assertion
