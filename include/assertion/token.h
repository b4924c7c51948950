#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "assertion/algorithm.h"
#include "assertion/bytes.h"
#include "assertion/error.h"
#include "assertion/public_key.h"

namespace assertion {

// A handle is only good until the token is removed or the module reloaded; afterwards it may mean another object.
using ObjectHandle = unsigned long;

// A boolean attribute of a private key (PKCS#11 v2.40 base, section 4.9) and what custody asks of it.
struct KeyAttribute {
  std::string_view name;         // for example CKA_SENSITIVE
  std::optional<bool> value;     // as read from the token; unset where it does not know the attribute
  std::optional<bool> required;  // unset: any value may sign

  bool ok() const { return !required || value == required; }
};

// A private key on the token with what belongs to it: its public half and certificate, paired by CKA_ID.
struct TokenKey {
  ObjectHandle private_key;
  std::string label;  // CKA_LABEL
  Bytes id;           // CKA_ID
  PublicKey public_key;
  std::optional<Bytes> certificate;  // DER
  std::vector<KeyAttribute> attributes;
};

struct NewKey {
  std::string label;
  Bytes id;
  const Algorithm* algorithm;
  int bits;
};

// One PKCS#11 session that signs. Belongs to one thread. After an error: discard it and open another.
class SigningSession {
 public:
  SigningSession() = default;
  virtual ~SigningSession() = default;
  SigningSession(const SigningSession&) = delete;
  SigningSession& operator=(const SigningSession&) = delete;

  virtual Result<Bytes> Sign(ObjectHandle key, const Algorithm& algorithm, std::string_view input) = 0;
};

// A PKCS#11 token into which this process has logged in. All methods may be called from any thread.
class Token {
 public:
  Token() = default;
  virtual ~Token() = default;
  Token(const Token&) = delete;
  Token& operator=(const Token&) = delete;

  // The private keys with this label, in no order.
  virtual Result<std::vector<TokenKey>> FindKeys(std::string_view label) = 0;

  // Makes a key pair that cannot leave the token, and reads it back.
  virtual Result<TokenKey> GenerateKeyPair(const NewKey& key) = 0;

  // Stores a certificate beside the key of that id. `subject` is the DER of its name (CKA_SUBJECT).
  virtual Status StoreCertificate(std::string_view label, BytesView id, BytesView subject, BytesView der) = 0;

  // Destroys both halves of the key pair and its certificate.
  virtual Status DestroyKey(BytesView id) = 0;

  // The private key's PKCS#11 URI (RFC 7512), without a PIN.
  virtual Result<std::string> PrivateKeyUri(BytesView id) = 0;

  virtual Result<std::unique_ptr<SigningSession>> OpenSigningSession() = 0;
};

}  // namespace assertion
