#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "assertion/algorithm.h"
#include "assertion/profile.h"
#include "assertion/request_object.h"

namespace assertion {

// The CKA_LABELs of assertiond's own keys: they sign the audit log's checkpoints, TLS handshakes, and ledgers and
// pending changes (see keys/seal.h). The key of a client has its client_id as label, so no client may have one of these
// names.
inline constexpr std::string_view kAuditKeyLabel = "assertiond-audit";
inline constexpr std::string_view kTlsKeyLabel = "assertiond-tls";
inline constexpr std::string_view kLedgerKeyLabel = "assertiond-ledger";
inline constexpr std::string_view kTakeoverKeyLabel = "assertiond-takeover";
inline constexpr std::string_view kTrialKeyLabel = "assertiond-trial";  // throw-away keys: see p11/custody_trial.h
inline constexpr std::array kOwnKeyLabels = {kAuditKeyLabel, kTlsKeyLabel, kLedgerKeyLabel, kTakeoverKeyLabel,
                                             kTrialKeyLabel};

// How the identity server learns a client's keys. kCertificate: it stores one certificate, so a new key needs a staged
// cut-over. kJwks: it reads a JWK Set from a URL, in which the old and the new key overlap.
enum class Binding { kCertificate, kJwks };

struct TokenSource;

// An OAuth 2.0 client as the operator configured it, and the limits of its assertions.
struct Client {
  std::string client_id;  // VSCHAR only (RFC 6749 appendix A.1), 1 to 255; by default iss and sub
  std::vector<Purpose> purposes = {Purpose::kClientAssertion};  // what its key may sign
  Profile profile;
  std::vector<std::string> audiences;  // the first is the default; empty: no aud
  bool audience_as_list = false;       // aud as a JSON array of one member instead of a string
  std::chrono::seconds default_lifetime{300};
  std::chrono::seconds max_lifetime{300};
  std::chrono::seconds clock_skew{0};  // the identity server subtracts it from exp; used for a warning only
  const Algorithm* algorithm = kAlgorithms.data();
  // Callers that may ask for its assertions: identities (see Caller) or SPIFFE path prefixes that end with "/*". Empty:
  // no caller.
  std::vector<std::string> callers;
  std::set<std::string, std::less<>> extra_claims;  // names that a caller may add
  RequestObjectRules request_object;                // for Purpose::kRequestObject
  std::shared_ptr<const TokenSource> tokens = {};   // null: assertiond buys no access tokens for it
  Binding binding = Binding::kCertificate;
  std::chrono::seconds publish_lead{900};      // kJwks: how long a key is published before it signs
  bool imported_keys = false;                  // true: operators may import private keys that others made
  bool sign_with_expired_certificate = false;  // true: the identity server ignores the certificate's validity

  bool IsFor(Purpose purpose) const { return std::ranges::find(purposes, purpose) != purposes.end(); }

  // The time that a key must stay published after its last signature: until that assertion has expired everywhere.
  std::chrono::seconds publish_overlap() const { return max_lifetime + clock_skew; }
};

}  // namespace assertion
