#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "assertion/client.h"
#include "assertion/clock.h"
#include "assertion/error.h"
#include "assertion/key_limits.h"
#include "assertion/mutex.h"
#include "assertion/random.h"
#include "assertion/token.h"
#include "keys/generation_limit.h"
#include "keys/key_adoption.h"
#include "keys/key_change.h"
#include "keys/key_ring.h"
#include "keys/ledger.h"
#include "x509/certifier.h"

namespace assertion {

// The versions of a ledger that counts again.
struct AcceptedLedger {
  std::int64_t found = 0;    // what was accepted
  std::int64_t seen = 0;     // the highest before
  std::int64_t version = 0;  // of the same keys now
};

struct NewKeyRequest {
  const Algorithm* algorithm = kAlgorithms.data();
  int bits;
  std::string common_name;
  std::chrono::seconds certificate_validity;
  KeyLimits limits = {};
};

struct AdoptionRequest {
  Bytes id;                  // CKA_ID
  std::string kid;           // that the key must have
  std::string certificates;  // PEM, or one in DER; empty: one is made as for a new key
  NewKeyRequest key;         // bits: not used
};

// Makes, certifies, schedules and destroys keys. Every change is one step of the client's ledger: what it needs on the
// token is there before, what it no longer needs goes afterwards, so that a crash leaves the state before or after it
// and, at worst, orphans: objects that no ledger names.
//
// Each change answers the kid that it was about. ABORTED: the version is another. FAILED_PRECONDITION: see schedule.h.
// kLedgerUnusable: nothing is made, or the message says that the change is, and that its keys cannot be read yet.
class KeyCustodian {
 public:
  // All must outlive it. Changes show in `ring` when they return.
  KeyCustodian(Token& token, Ledger& ledger, const x509::Certifier& certifier, KeyRing& ring, Random random)
      : token_(token), ledger_(ledger), certifier_(certifier), ring_(ring), random_(std::move(random)) {}

  // FAILED_PRECONDITION when the client has as many keys as the limits allow, RESOURCE_EXHAUSTED when too many were
  // made in the last hour; the same for Rotate. A key pair with a self-signed certificate. It signs at once if no key
  // of the client does or will; else it is staged.
  Result<std::string> Generate(const ChangeRequest& change, const NewKeyRequest& key);

  // The client's next key. `sign_from` unset: publish_lead from now with Binding::kJwks; with kCertificate not yet.
  Result<std::string> Rotate(const ChangeRequest& change, const NewKeyRequest& key, std::optional<Time> sign_from);

  // Takes over a key pair that other means made on the token: CheckAdoptable, Token::CheckCustody, and limits, schedule
  // and certificate as of Generate and ImportCertificate. The key gets the client's label where the token allows it.
  Result<std::string> Adopt(const ChangeRequest& change, const AdoptionRequest& adoption);

  // Puts a private key that another party made into the token, with limits, schedule and certificate as of Generate.
  // The key signs a proof. FAILED_PRECONDITION: the client has it already.
  Result<std::string> Import(const ChangeRequest& change, const NewKeyRequest& key, const PrivateKey& private_key);

  // See ExamineKey.
  Result<AdoptionCandidate> Examine(const AdoptionQuestion& question) const;

  // INVALID_ARGUMENT when the chain is not this key's, not valid, or does not verify.
  Result<std::string> ImportCertificate(const ChangeRequest& change, std::string_view kid,
                                        std::string_view certificates);

  Result<std::string> Reschedule(const ChangeRequest& change, std::string_view kid, const Instants& instants);

  // The emergency brake: waits for other changes for 1 s at most, those of this process included, then goes before
  // them.
  Result<std::string> Revoke(const ChangeRequest& change, std::string_view kid);

  // Only after publish_until, unless forced.
  Result<std::string> Destroy(const ChangeRequest& change, std::string_view kid);

  // The refusal that these three would answer of the keys as this process sees them now, so that a change that waits
  // for a second person is refused while its operator looks. Change nothing.
  Status CheckReschedule(const ChangeRequest& change, std::string_view kid, const Instants& instants) const;
  Status CheckRevoke(const ChangeRequest& change, std::string_view kid) const;
  Status CheckDestroy(const ChangeRequest& change, std::string_view kid) const;

  // Makes a ledger count that is older than what was seen, as after a restore from a backup: what it says is written
  // once more under a version above both, so that every server takes it over, and one that is replayed later is older
  // again. Keys that were revoked since may sign again. `change.expected_version` names the version that was found, 0
  // when the ledger is gone: then the client begins without keys. FAILED_PRECONDITION: no later version was seen.
  Result<AcceptedLedger> AcceptLedger(const ChangeRequest& change);

  // A PKCS#10 request in PEM, signed in the token. INVALID_ARGUMENT.
  Result<std::string> CreateCsr(std::string_view client_id, std::string_view kid, const std::string& subject,
                                const std::vector<std::string>& subject_alt_names) const;

 private:
  // A change in the making: the next ledger, and the objects that go when it fails or when it is committed.
  struct Draft {
    Time now;
    ClientLedger next;
    std::vector<Bytes> new_keys;  // CKA_ID
    std::vector<Bytes> new_certificates;
    std::vector<Bytes> obsolete_keys;  // CKA_ID
    std::vector<Bytes> adopted_keys;   // CKA_ID; get the client's label
    bool revocation = false;           // goes through whatever the binding asks for
  };
  using Edit = std::function<Result<std::string>(const Client&, Draft&)>;
  static Edit Rescheduling(std::string_view kid, const Instants& instants);
  static Edit Revocation(std::string_view kid);
  static Edit Destruction(std::string_view kid, bool forced);
  Status CheckEdit(const ChangeRequest& change, const Edit& edit) const;
  static Status CheckSchedule(const ChangeRequest& change, const Client& client, const Schedule& before,
                              const Draft& draft);

  Result<std::string> Change(const ChangeRequest& change, const Edit& edit, const Patience& patience = {});
  // `version`: of the ledger afterwards.
  Result<std::string> Edited(const ChangeRequest& change, const Client& client, Ledger::Hold& hold, const Edit& edit,
                             std::int64_t& version);
  Result<x509::NewCertificate> SelfSign(const Bytes& id, const PublicKey& key, const NewKeyRequest& request,
                                        Time now) const;
  Status TakePlace(const Client& client, const KeyLimits& limits, const Draft& draft);
  Result<KeyRecord> MakeKey(const Client& client, const NewKeyRequest& request, Draft& draft,
                            const PrivateKey* imported = nullptr);
  Result<TokenKey> PutOnToken(const NewKey& key, const PrivateKey* imported) const;
  Result<std::string> AddFirstOrStaged(const Client& client, const NewKeyRequest& request, Draft& draft,
                                       const PrivateKey* imported);
  Status StoreCertificate(const Client& client, const Bytes& id, const Certificate& certificate, Draft& draft);
  Status StoreChain(const Client& client, const PublicKey& key, std::string_view certificates, KeyRecord& record,
                    Draft& draft);
  Status DestroyCertificates(const std::string& client_id, const std::vector<std::string>& thumbprints);
  bool IsStored(Draft& draft);
  std::string Undo(const std::string& client_id, const Draft& draft);
  void Clear(const ClientLedger& before, const Draft& draft);

  Token& token_;
  Ledger& ledger_;
  const x509::Certifier& certifier_;
  KeyRing& ring_;
  const Random random_;
  Mutex administration_;  // held during every change except the emergency brake
  GenerationLimit made_;
};

}  // namespace assertion
