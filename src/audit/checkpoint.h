#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "assertion/error.h"
#include "assertion/public_key.h"
#include "audit/line.h"
#include "x509/verifier.h"

namespace assertion::audit {

// The typ of a checkpoint's JOSE header.
inline constexpr std::string_view kCheckpointType = "assertiond-checkpoint+json";

// Signs a checkpoint's payload with the audit key. `done` gets a compact JWS (RFC 7515) on any thread. Does not block.
using Sign = std::function<void(std::string_view payload, std::move_only_function<void(Result<std::string>)> done)>;

// An audit key that can sign checkpoints.
struct Signer {
  std::string kid;  // RFC 7638
  Sign sign;
  std::string jwk;  // the audit key's public JWK (RFC 7517)
};

// The payload that a checkpoint signs: the chain stood at `covered`.
std::string CheckpointPayload(const Head& covered, std::chrono::system_clock::time_point now);

// The body of a checkpoint's line, ready to be chained. Lines that were recorded while it was signed may precede it.
std::string CheckpointBody(const std::string& payload, std::string_view jws);

// Public audit keys by kid (RFC 7638).
using PublicKeys = std::map<std::string, std::shared_ptr<const x509::Verifier>, std::less<>>;

// Parses a JWK or a JWK Set (RFC 7517 sections 4 and 5).
Result<PublicKeys> ParsePublicKeys(std::string_view text);
Result<PublicKeys> ToPublicKeys(const PublicKey& key);

// A checkpoint that holds.
struct Checkpoint {
  Head covered;
  std::string kid;  // of the key that signed it
};

// Returns the checkpoint, or the reason why it does not hold. All of its line except sequence and prev must be, octet
// for octet, what one of these keys signed. NOT_FOUND: it names none of these keys.
Result<Checkpoint> CheckCheckpoint(std::string_view text, const Line& line, const PublicKeys& keys);

// The last sequence that a valid checkpoint at line `sequence` proves. It proves itself too when it directly follows
// the line that it covers, because its own sequence and prev follow from that line.
constexpr std::uint64_t ProvenBy(std::uint64_t covered, std::uint64_t sequence) {
  return covered + 1 == sequence ? sequence : covered;
}

}  // namespace assertion::audit
