#pragma once

#include <array>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assertion/algorithm.h"
#include "assertion/attribute_names.h"
#include "assertion/bytes.h"
#include "assertion/custody_trial.h"
#include "assertion/error.h"
#include "assertion/private_key.h"
#include "assertion/public_key.h"

namespace assertion {

// Valid until the token is reconnected. It is refused afterwards, because its value may then mean another object.
struct ObjectHandle {
  unsigned long value = 0;
  unsigned epoch = 0;  // the token's Epoch() when the handle was read

  bool operator==(const ObjectHandle&) const = default;
};

// A boolean attribute of a private key (PKCS#11 v2.40 base, section 4.9) and the value that custody requires.
struct KeyAttribute {
  std::string_view name;         // for example CKA_SENSITIVE
  std::string_view meaning;      // what the required value proves
  std::optional<bool> value;     // as read from the token; unset: the token does not know the attribute
  std::optional<bool> required;  // unset: any value may sign
  bool may_be_unshown = false;   // a token that does not know the attribute lets the key sign, too
  bool accepted = false;         // the operator accepts another value (accept_unshown of the field hsm)

  bool ok() const { return accepted || IsAsRequired(); }

  // True: it may sign by the operator's decision alone.
  bool IsOnlyAccepted() const { return accepted && !IsAsRequired(); }
  bool IsAsRequired() const { return !required || value == required || (may_be_unshown && !value); }
};

// The attributes that tell of a birth inside the token: no key from outside has them.
inline constexpr std::array<std::string_view, 3> kBirthAttributes = {"CKA_ALWAYS_SENSITIVE", "CKA_NEVER_EXTRACTABLE",
                                                                     "CKA_LOCAL"};

// A private key on the token (CKA_PRIVATE true: creating it took the PIN) with its public half, paired by CKA_ID.
struct TokenKey {
  ObjectHandle private_key;
  std::string label;     // CKA_LABEL
  Bytes id;              // CKA_ID
  PublicKey public_key;  // the first of the candidates
  std::vector<KeyAttribute> attributes;
  std::optional<Error> flaw;  // the reason why it cannot be used; public_key and attributes may be missing then
  // The possible public halves. An RSA key contains its own. A key on a curve does not, and any session may store a
  // public key object beside it: believe the candidate that verifies a signature of the key, or whose thumbprint you
  // trust.
  std::vector<PublicKey> candidates;
  std::optional<AttributeNames> not_asked = std::nullopt;  // of a key just made: see KeyRecord
};

// Another object on the token.
struct TokenObject {
  ObjectHandle handle;
  std::string label;                                   // CKA_LABEL
  Bytes id;                                            // CKA_ID
  Bytes value;                                         // a certificate's DER; empty: the token does not show it
  std::optional<PublicKey> public_key = std::nullopt;  // set for a readable public key
};

struct TokenContents {
  std::vector<TokenKey> keys;
  std::vector<TokenObject> public_keys;  // with one of the labels, or the CKA_ID of one of the keys
  std::vector<TokenObject> certificates;
  std::vector<TokenObject> unguarded;  // private keys that are not used, because CKA_PRIVATE is not true
};

enum class ObjectKind { kPrivateKey, kPublicKey, kCertificate, kData };

// An object on the token, without its value.
struct ListedObject {
  ObjectKind kind;
  ObjectHandle handle;
  std::string label;        // CKA_LABEL
  Bytes id;                 // CKA_ID; data has none
  std::string application;  // CKA_APPLICATION, of data alone
  bool is_private;          // CKA_PRIVATE, as read back
};

// A data object (PKCS#11 v2.40 base, section 4.5). The value of one that is not private is not read, because it can be
// stored without a PIN.
struct TokenData {
  ObjectHandle handle;
  std::string label;
  std::string value;
  bool is_private = false;  // CKA_PRIVATE, as read back
};

// What the token reports about itself (CK_TOKEN_INFO), without the padding.
struct TokenDescription {
  std::string label;
  std::string manufacturer;
  std::string model;
  std::string serial;
  std::string firmware;
  std::string module;              // the PKCS#11 library, as it reports itself
  std::vector<std::string> flags;  // for example CKF_LOGIN_REQUIRED
  // Attributes that this process could not ask for in a new key's template, because the token refuses them there.
  AttributeNames not_asked;
  std::map<std::string_view, CustodyTrial>
      trials;                             // by KeyType::name; a type without one was not tried in this process
  bool accepts_unproven_custody = false;  // the operator does (accept_unshown of the field hsm)

  // For a person: what is known of the custody of keys of this type.
  std::string CustodyText(const KeyType& type) const {
    const auto tried = trials.find(type.name);
    const std::string accepted = accepts_unproven_custody ? "; the operator accepts it (accept_unshown)" : "";
    if (tried == trials.end()) {
      return "not tried since the server started" + accepted;
    }
    return tried->second.held() ? "held: the token refused every way out that was tried"
                                : "unproven: the token let a throw-away key out by " +
                                      tried->second.Names(WayOutcome::kLetThrough) + accepted;
  }
};

struct NewKey {
  std::string label;
  Bytes id;
  const Algorithm* algorithm;
  int bits;  // the length of the modulus; for other keys than RSA the curve decides
};

// One PKCS#11 session that signs. Belongs to one thread. After an error: discard it and open another.
class SigningSession {
 public:
  SigningSession() = default;
  virtual ~SigningSession() = default;
  SigningSession(const SigningSession&) = delete;
  SigningSession& operator=(const SigningSession&) = delete;

  // Signs with the one private key of that CKA_ID. Callers verify the signature with its public key before they use it.
  // kLedgerUnusable, kKeyAmbiguous: the token works, but has no such key, or two.
  virtual Result<Bytes> Sign(const Bytes& id, const Algorithm& algorithm, std::string_view input) = 0;
};

// A private key as OpenSSL finds it in the token.
struct PrivateKeyReference {
  std::string uri;      // PKCS#11 URI (RFC 7512), without a PIN
  unsigned generation;  // the number of reloads of the module: slots and sessions are valid in one generation
  // While it exists the module is not reloaded and no object is changed: destroy it before you store or destroy an
  // object. It belongs to the thread that called.
  std::shared_ptr<void> hold;
};

// The ways to recover a token that does not sign.
enum class Reconnection {
  kLogIn,   // find it again and log in, unless the login still stands
  kReload,  // C_Finalize and C_Initialize first, which some modules need: every session and handle ends
};

// A PKCS#11 token into which this process has logged in. All methods may be called from any thread.
class Token {
 public:
  Token() = default;
  virtual ~Token() = default;
  Token(const Token&) = delete;
  Token& operator=(const Token&) = delete;

  // The keys and certificates whose label is one of `labels`, and the keys whose CKA_ID is one of `ids`, in no order.
  virtual Result<TokenContents> Read(const std::set<std::string, std::less<>>& labels, const std::set<Bytes>& ids) = 0;
  Result<TokenContents> Read(const std::set<std::string, std::less<>>& labels) { return Read(labels, {}); }

  // All keys and certificates, whatever their label, and the data objects of these applications that are not private.
  virtual Result<std::vector<ListedObject>> List(std::span<const std::string_view> applications) = 0;

  // Generates a key pair that cannot leave the token, and reads it back. FAILED_PRECONDITION: the token generates none
  // for the algorithm.
  virtual Result<TokenKey> GenerateKeyPair(const NewKey& key) = 0;

  // Puts a private key from outside on the token, which cannot leave it from then on, and reads the pair back.
  // `key.bits` is not used. FAILED_PRECONDITION: the token has no mechanism that signs for the algorithm.
  virtual Result<TokenKey> ImportKeyPair(const NewKey& key, const PrivateKey& private_key) = 0;

  // Tries, once for each type of key, whether a throw-away key of the algorithm's type stays in the token.
  // kKeyForbidden: it does not, and the operator does not accept that. OK as well for a type of which the token
  // generates none.
  virtual Status CheckCustody(const Algorithm& algorithm) = 0;

  // `subject` is the DER of the certificate's name (CKA_SUBJECT).
  virtual Status StoreCertificate(std::string_view label, BytesView id, BytesView subject, BytesView der) = 0;

  // Gives the key objects of that CKA_ID this CKA_LABEL. An error names the call: the objects keep their label then.
  virtual Status SetLabel(BytesView id, std::string_view label) = 0;

  // Destroys both halves of the key pair of that CKA_ID, and every other key object that has it.
  virtual Status DestroyKey(BytesView id) = 0;

  // Destroys the object; one that is gone already counts as done.
  virtual Status DestroyObject(ObjectHandle object) = 0;

  // The data objects of this application (CKA_APPLICATION), with this label unless it is empty, private or not. The
  // values of data objects cannot be changed on every token: store the new, then destroy the old.
  virtual Result<std::vector<TokenData>> FindData(std::string_view application, std::string_view label) = 0;
  // Stores a private data object.
  virtual Status StoreData(std::string_view application, std::string_view label, std::string_view value) = 0;

  virtual Result<PrivateKeyReference> PrivateKeyOf(BytesView id) = 0;

  virtual TokenDescription Describe() const = 0;

  // The folder of the lock that all processes of this machine take before they change the token. See MachineLock.
  virtual const std::string& lock_directory() const = 0;

  // The PKCS#11 mechanism that signs for the algorithm, for example CKM_ECDSA; empty: the token has none.
  virtual std::string MechanismOf(const Algorithm& algorithm) const = 0;

  virtual Result<std::unique_ptr<SigningSession>> OpenSigningSession() = 0;

  // Checks the login. UNAVAILABLE when the token is logged out, or does not answer.
  virtual Status Check() = 0;

  // The latest moment at which this process itself kept its calls into the token waiting: now while it does. A change
  // of objects holds back searches, and a session that signs with a key for the first time searches for it; a reload of
  // the module, for another of its tokens perhaps, holds back every call.
  virtual std::chrono::steady_clock::time_point HeldUntil() const = 0;

  // True while the token makes or destroys an object for this process, for two minutes at most: an HSM that does one
  // thing at a time signs when it is done.
  virtual bool IsChanging() const = 0;

  // The number of times that the token has been connected. Handles are invalid when it has changed.
  virtual unsigned Epoch() const = 0;

  // The module is not reloaded while the returned object exists, so that no change of several steps is cut in two.
  virtual std::shared_ptr<void> Hold() = 0;

  // Makes one attempt. kTokenAbsent, UNAVAILABLE: try again later. kPinRefused, kPinLocked, kPinUnreadable: an operator
  // must act first; no PIN is tried twice.
  virtual Status Reconnect(Reconnection how) = 0;
};

}  // namespace assertion
