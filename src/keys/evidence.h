#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "assertion/clock.h"
#include "assertion/error.h"
#include "assertion/public_key.h"
#include "assertion/token.h"
#include "keys/key_ring.h"

namespace assertion {

// A report on a key for an auditor, as a JWS (RFC 7515) that the key itself signed: token, attributes with what each
// proves, mechanism, certificate, schedule, time. Its typ keeps it from being taken for a client assertion (RFC 8725
// section 3.11), and it has none of an assertion's claims. Everything is read from the token again.
Result<std::string> MakeEvidence(Token& token, const std::string& client_id, const ScheduledKey& key,
                                 std::int64_t version, Time now);

// One thing that evidence shows, or fails to.
struct EvidenceFinding {
  bool ok;
  std::string text;    // what it is about, ": " and what was found
  bool warns = false;  // ok, and worth a look
  bool said = false;   // the report's word: a signer with the key in a file can write the same
};

struct Evidence {
  std::string report;                                      // the payload, JSON, indented
  std::vector<std::pair<std::string, std::string>> about;  // what the report says that it is about: label and text
  std::optional<PublicKey> key;                            // the report's own, which made the signature if that is ok
  std::string kid;                                         // that key's thumbprint
  std::vector<EvidenceFinding> findings;

  bool ok() const;
};

// Checks it offline: signature by the key that it is about, kid, certificate, and every attribute that custody asks
// for. It proves what the signer of this report said. Anybody can sign one with a key of their own: a comparison of
// `key` with one that is known shows that the known key's holder signed it. That a token holds that key, and that the
// token tells the truth, is for the vendor's attestation: no report of ours can show either. INVALID_ARGUMENT when it
// is not evidence at all.
Result<Evidence> VerifyEvidence(std::string_view text);

}  // namespace assertion
