#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "assertion/error.h"
#include "assertion/mutex.h"
#include "assertion/random.h"
#include "assertion/token.h"
#include "x509/verifier.h"

namespace assertion {

// What proves that assertiond wrote a text which lies where others may write: a compact JWS (RFC 7515) by the token's
// own key for it, CKA_LABEL "assertiond-ledger", RS256. Its header is {alg, kid, typ}, octet for octet; the typ names
// what is sealed, so that one kind is never taken for another.
//
// Servers that start for the first time at the same moment may make a key each: all of them verify, and the first by
// CKA_ID signs. One that does not prove itself by a signature is an error (kKeyUnproven), so that what it has signed is
// never taken for a stranger's. All methods may be called from any thread.
//
// Before there was a seal, state was unsigned. It counts until the token holds an assertiond-ledger key, and never
// again: without the PIN nobody removes a private key. A takeover signs it with another key, CKA_LABEL
// "assertiond-takeover", and makes the assertiond-ledger key last: whatever moment a crash picks, what is unsigned
// either counts still, or all of it has been signed.
class Seal {
 public:
  static constexpr std::string_view kLedger = "assertiond-ledger+jws";
  static constexpr std::string_view kPendingChange = "assertiond-pending+jws";

  // `token` must outlive it.
  Seal(Token& token, Random random) : token_(token), random_(std::move(random)) {}

  // True if unsigned text is void: the token holds an assertiond-ledger key.
  Result<bool> IsSettled();

  // From now on Sign takes the takeover key, made if there is none, until Settle.
  Status BeginTakeover();

  // Makes the assertiond-ledger key, if there is none.
  Status Settle();

  // A compact JWS. Makes the assertiond-ledger key if there is none.
  Result<std::string> Sign(std::string_view typ, std::string_view payload);

  // The payload. kLedgerUnusable: it does not verify, with the reason. Every other error is the token's.
  Result<std::string> Open(std::string_view typ, std::string_view jws);

 private:
  using Instant = std::chrono::steady_clock::time_point;

  struct Key {
    std::string label;
    Bytes id;  // CKA_ID
    std::string kid;
    x509::Verifier verifier;
  };

  Status Look() REQUIRES(mutex_);
  Status Take(std::string_view label) REQUIRES(mutex_);
  Status Make(std::string_view label) REQUIRES(mutex_);
  Result<bool> MayBeNew(std::string_view kid) REQUIRES(mutex_);
  const Key* SigningKey() const REQUIRES(mutex_);
  const Key* KeyOf(std::string_view typ, std::string_view header) const REQUIRES(mutex_);

  Token& token_;
  const Random random_;
  Mutex mutex_;
  bool looked_ GUARDED_BY(mutex_) = false;
  bool settled_ GUARDED_BY(mutex_) = false;
  bool taking_over_ GUARDED_BY(mutex_) = false;
  std::vector<Key> keys_ GUARDED_BY(mutex_);  // assertiond-ledger before assertiond-takeover, by CKA_ID
  std::map<std::string, Instant, std::less<>> unknown_ GUARDED_BY(mutex_);  // kids that the token did not hold then
};

}  // namespace assertion
