#pragma once

#include <array>
#include <chrono>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "assertion/algorithm.h"

namespace assertion {

// The CKA_LABELs of assertiond's own keys: that which signs the audit log's checkpoints, that of the TLS server, and
// those which sign the ledgers and pending changes (see keys/seal.h). Keys of clients carry their client_id there: none
// may have one of these.
inline constexpr std::string_view kAuditKeyLabel = "assertiond-audit";
inline constexpr std::string_view kTlsKeyLabel = "assertiond-tls";
inline constexpr std::string_view kLedgerKeyLabel = "assertiond-ledger";
inline constexpr std::string_view kTakeoverKeyLabel = "assertiond-takeover";
inline constexpr std::array kOwnKeyLabels = {kAuditKeyLabel, kTlsKeyLabel, kLedgerKeyLabel, kTakeoverKeyLabel};

// How the identity server knows a client's keys. kCertificate: one slot for one certificate, so that a new key is a
// staged cut-over. kJwks: a JWK Set by URL, in which the old and the new key overlap.
enum class Binding { kCertificate, kJwks };

// An OAuth 2.0 client as the operator configured it: what may be asserted on its behalf.
struct Client {
  std::string client_id;               // iss and sub; VSCHAR only (RFC 6749 appendix A.1), 1 to 255
  std::vector<std::string> audiences;  // never empty; the first is the default
  bool audience_as_list = false;       // aud as a JSON array of one member instead of a string
  std::chrono::seconds default_lifetime{300};
  std::chrono::seconds max_lifetime{300};
  std::chrono::seconds clock_skew{0};  // what the identity server takes off exp; only for a warning at load
  const Algorithm* algorithm = kAlgorithms.data();
  // Who may ask for its assertions: identities (see Caller), or a SPIFFE path prefix that ends with "/*". Empty:
  // nobody.
  std::vector<std::string> callers;
  std::set<std::string, std::less<>> extra_claims;  // names that a caller may add
  Binding binding = Binding::kCertificate;
  std::chrono::seconds publish_lead{900};      // kJwks: how long a key is published before it signs
  bool sign_with_expired_certificate = false;  // whether the identity server ignores the certificate's validity

  // How long after its last signature a key must stay published: until that assertion is refused as expired.
  std::chrono::seconds publish_overlap() const { return max_lifetime + clock_skew; }
};

}  // namespace assertion
