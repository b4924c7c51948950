#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "assertion/client.h"
#include "assertion/clock.h"
#include "assertion/error.h"
#include "assertion/random.h"
#include "assertion/token.h"
#include "keys/signing_key.h"
#include "x509/certifier.h"

namespace assertion {

using SigningKeyPtr = std::shared_ptr<const SigningKey>;

// The signing keys by client id: one a client. Immutable once made.
using KeySet = std::map<std::string, SigningKeyPtr, std::less<>>;

struct GenerateKeyRequest {
  std::string client_id;
  int bits;
  std::string common_name;
  std::chrono::seconds certificate_validity;
};

// Which keys exist and what each may do. Readers take a snapshot and never wait for an administrator.
// A key belongs to the client whose id is its CKA_LABEL.
class KeyRing {
 public:
  // Reads and proves the keys of all clients. One that must not sign fails the whole: kKeyForbidden, kKeyAmbiguous,
  // kKeyUnproven. A client without a key is none of these. `token` and `certifier` must outlive the ring.
  static Result<std::unique_ptr<KeyRing>> Load(Token& token, const x509::Certifier& certifier,
                                               std::vector<Client> clients, Clock clock, Random random);

  // FAILED_PRECONDITION when the client has none.
  Result<SigningKeyPtr> Find(std::string_view client_id) const;

  std::shared_ptr<const KeySet> Snapshot() const { return keys_.load(); }

  // Makes a key pair in the token and its self-signed certificate; either both are there afterwards or neither.
  // ALREADY_EXISTS when the token holds a key for the client.
  Result<SigningKeyPtr> Generate(const GenerateKeyRequest& request);

 private:
  KeyRing(Token& token, const x509::Certifier& certifier, std::vector<Client> clients, Clock clock, Random random)
      : token_(token),
        certifier_(certifier),
        clients_(std::move(clients)),
        clock_(std::move(clock)),
        random_(std::move(random)) {}

  Result<SigningKeyPtr> ReadClient(const Client& client) const;
  Result<SigningKeyPtr> Create(const Client& client, const GenerateKeyRequest& request);
  void Adopt(SigningKeyPtr key);

  Token& token_;
  const x509::Certifier& certifier_;
  const std::vector<Client> clients_;
  const Clock clock_;
  const Random random_;
  std::mutex administration_;  // one change at a time
  std::atomic<std::shared_ptr<const KeySet>> keys_{std::make_shared<const KeySet>()};
};

}  // namespace assertion
