#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "assertion/algorithm.h"
#include "assertion/clock.h"
#include "assertion/error.h"
#include "assertion/key_limits.h"
#include "keys/administered_hsm.h"
#include "keys/key_change.h"
#include "keys/key_custodian.h"
#include "keys/key_ring.h"

namespace assertion {

// The configuration of a client's new keys.
struct NewKeyRules {
  const Algorithm* algorithm = nullptr;  // of a key that is asked for without one; never null
  KeyLimits limits;
  bool takes_imported_keys = false;
};

// A key as it is at one instant.
struct KeyStatus {
  std::string hsm;  // its token's label
  std::string client_id;
  ScheduledKey entry;
  std::int64_t version = 0;  // of the client's keys on this HSM
  Time now;
  std::string custody = {};            // see TokenDescription::CustodyText
  std::string waits_for = {};          // see KeyRing::WaitsFor
  std::vector<Purpose> purposes = {};  // of the client; empty: it is not configured any more
};

// A client that is not configured, and keys of it that are in the ledger nevertheless.
struct LeftClient {
  std::string hsm;  // its token's label
  std::string client_id;
  std::size_t keys = 0;
};

// A client's ledger that does not count, because a later one was seen.
struct RolledBackLedger {
  std::string hsm;  // its token's label
  std::string client_id;
  KeyRing::OlderLedger versions;
};

struct KeyList {
  std::vector<KeyStatus> keys;                   // by client id, then by HSM, then by sign_from
  std::map<std::string, std::int64_t> versions;  // by client id, of every client
  std::vector<LeftClient> left;                  // by HSM, then by client id
  std::vector<RolledBackLedger> rolled_back;     // by HSM, then by client id
  std::vector<std::string> hsms;                 // the labels of the tokens that were asked, also without keys
};

// The result of a change. Each change sets the members that it has.
struct ChangeResult {
  std::optional<KeyStatus> key;          // after the change
  std::optional<KeyStatus> predecessor;  // the key that a rotation takes over from
  std::optional<AcceptedLedger> ledger;
  std::int64_t version = 0;            // of the client's keys, after a destruction
  std::optional<KeyOrigin> destroyed;  // where a destroyed key was born
};

// The acts of operators on keys: it checks the request, chooses the HSM, and has its KeyCustodian act.
// INVALID_ARGUMENT names the field of the request. Who may ask is decided before. All methods may be called from any
// thread.
class KeyAdministration {
 public:
  // NOT_FOUND when the client is not configured.
  using FindRules = std::function<Result<NewKeyRules>(std::string_view client_id)>;

  KeyAdministration(AdministeredHsms hsms, FindRules find_rules)
      : hsms_(std::move(hsms)), find_rules_(std::move(find_rules)) {}

  // Checks in advance, as far as possible, that the change can be made.
  Status Check(const KeyChange& change) const;

  // The result of a change that is made already, so that nobody needs to approve it: the revocation of a key that is
  // withdrawn at the expected version. Unset: it is another change.
  std::optional<ChangeResult> Settled(const KeyChange& change) const;

  // Makes the change. Errors as of KeyCustodian.
  Result<ChangeResult> Perform(const KeyChange& change) const;

  // Puts a private key into the token. FAILED_PRECONDITION: the client's configuration does not allow it, or a client
  // has the key already. INVALID_ARGUMENT: the key does not fit the algorithm.
  Result<ChangeResult> Import(const KeyImport& import) const;

  // Where the key was born; nothing when the client has no such key.
  std::optional<KeyOrigin> OriginOf(const std::string& client_id, const std::string& kid) const;

  // Whether the client can adopt the key pair with this CKA_ID. An empty algorithm: the client's in the configuration;
  // an empty HSM: the first.
  struct Examined {
    std::string hsm;  // its token's label
    const Algorithm* algorithm;
    AdoptionCandidate candidate;
  };
  Result<Examined> Examine(const std::string& client_id, const Bytes& cka_id, const std::string& algorithm,
                           const std::string& hsm) const;

  // The versions that accepting the ledger is about, for the record of a proposal. `version` stays 0. Unset when the
  // HSM is not there.
  std::optional<AcceptedLedger> LedgerToAccept(const LedgerAcceptance& acceptance) const;

  // A PKCS#10 request in PEM. An empty subject: CN= and the client id.
  Result<std::string> CreateCsr(const std::string& client_id, const std::string& kid, const std::string& subject,
                                const std::vector<std::string>& subject_alt_names) const;

  // See MakeEvidence.
  Result<std::string> CreateEvidence(const std::string& client_id, const std::string& kid) const;

  // An empty kid: the key that signs now.
  Result<KeyStatus> Get(const std::string& client_id, const std::string& kid) const;

  // The keys of one HSM by its token's label, or of all when `hsm` is empty; the versions are then the first HSM's.
  Result<KeyList> List(const std::string& hsm) const;

  Time Now() const { return First().keys.Now(); }

 private:
  struct Holder {
    AdministeredHsm hsm;
    ScheduledKey entry;
  };

  AdministeredHsm First() const { return hsms_().front(); }
  Result<AdministeredHsm> FindHsm(const std::string& name) const;
  Result<AdministeredHsm> HsmForNewKey(const std::string& name, const std::string& client_id) const;
  Result<Holder> FindHolder(const std::string& client_id, const std::string& kid) const;
  AdministeredHsm HolderOrFirst(const std::string& client_id, const std::string& kid) const;
  std::optional<std::string> UserOf(const std::string& kid, const std::string& client_id, const std::string& hsm) const;
  Result<AdoptionRequest> Complete(const KeyAdoption& adoption) const;
  Result<NewKeyRequest> Complete(const KeyWishes& wishes, const std::string& client_id) const;

  Result<NewKeyRequest> Complete(const KeyImport& import) const;

  Status CheckOne(const KeyGeneration& generation) const;
  Status CheckOne(const KeyRotation& rotation) const;
  Status CheckOne(const LedgerAcceptance& acceptance) const;
  Status CheckOne(const KeyAdoption& adoption) const;
  template <typename Change>
  Status CheckOne(const Change& change) const;

  Result<ChangeResult> PerformOne(const KeyGeneration& generation) const;
  Result<ChangeResult> PerformOne(const KeyRotation& rotation) const;
  Result<ChangeResult> PerformOne(const CertificateImport& import) const;
  Result<ChangeResult> PerformOne(const KeyRescheduling& rescheduling) const;
  Result<ChangeResult> PerformOne(const KeyRevocation& revocation) const;
  Result<ChangeResult> PerformOne(const KeyDestruction& destruction) const;
  Result<ChangeResult> PerformOne(const LedgerAcceptance& acceptance) const;
  Result<ChangeResult> PerformOne(const KeyAdoption& adoption) const;

  const AdministeredHsms hsms_;
  const FindRules find_rules_;
};

}  // namespace assertion
