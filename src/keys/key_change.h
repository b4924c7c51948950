#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "assertion/bytes.h"
#include "assertion/clock.h"
#include "assertion/private_key.h"
#include "keys/schedule.h"

namespace assertion {

// The members that every change of a client's keys has.
struct ChangeRequest {
  std::string client_id;
  std::int64_t expected_version;  // version of the client's keys that the operator decided on
  std::string request_id;         // empty: none
  std::string digest;             // of the request without version and request id: detects another request under one id
  bool forced;                    // may leave the client without a signing key or break its binding's times
  bool accepts_older = false;     // the expected version is older than one that was seen
};

// A new key as an operator asks for it. What is left out is decided when the key is made.
struct KeyWishes {
  std::string algorithm;                                     // JWS "alg"; empty: the client's in the configuration
  int bits = 0;                                              // 0: the algorithm's default
  std::string common_name;                                   // empty: the client id, cut to 64 octets
  std::optional<std::chrono::seconds> certificate_validity;  // 1 to 3650 days; unset: 365 days
  std::string hsm;                                           // label of its token; empty: the first HSM
};

struct KeyGeneration {
  ChangeRequest change;
  KeyWishes key;
};

struct KeyRotation {
  ChangeRequest change;
  KeyWishes key;
  std::optional<Time> sign_from;  // unset: as the client's binding has it
};

struct CertificateImport {
  ChangeRequest change;
  std::string kid;
  std::string certificates;  // PEM, or one in DER
};

struct KeyRescheduling {
  ChangeRequest change;
  std::string kid;
  Instants instants;
};

struct KeyRevocation {
  ChangeRequest change;
  std::string kid;
};

struct KeyDestruction {
  ChangeRequest change;
  std::string kid;
};

struct LedgerAcceptance {
  ChangeRequest change;
  std::string hsm;  // label of its token; empty: the first HSM
};

// The client takes over a key pair that other means made on the token.
struct KeyAdoption {
  ChangeRequest change;
  std::string kid;  // that the operator saw when the key was examined
  Bytes cka_id;     // 1 to kLongestAdoptedId octets
  KeyWishes key;    // bits: not used. common_name, certificate_validity: of a certificate that assertiond makes
  std::string certificates;  // PEM, or one in DER; empty: assertiond makes one
};

// The client takes a private key that another party made. It is no KeyChange: those can be stored to wait for a second
// person, and a private key must not be.
struct KeyImport {
  ChangeRequest change;
  KeyWishes key;  // bits: not used
  PrivateKey private_key;
};

// The changes that an operator may make. The order is that of kTwoPersonMethods.
using KeyChange = std::variant<KeyGeneration, KeyRotation, CertificateImport, KeyRescheduling, KeyRevocation,
                               KeyDestruction, LedgerAcceptance, KeyAdoption>;

// The name of the change in the configuration, the audit log and the API, for example "RevokeKey".
std::string_view MethodOf(const KeyChange& change);

const ChangeRequest& RequestOf(const KeyChange& change);

// Empty for a change that makes a key, or that accepts a ledger.
std::string_view KidOf(const KeyChange& change);

}  // namespace assertion
