#pragma once

#include <map>
#include <shared_mutex>
#include <string_view>

#include "assertion/algorithm.h"
#include "assertion/bytes.h"
#include "assertion/error.h"
#include "assertion/token.h"
#include "keys/signing_key.h"
#include "signing/signing_queue.h"

namespace assertion::service {

// The server's TLS key in its token, found by its CKA_ID alone. It signs through the HSM's queue, where all handshakes
// together are one caller: a flood of handshakes takes turns with other callers, a lost token refuses at once, and a
// call that hangs occupies a gRPC thread no longer than a handshake may take.
class TlsKey {
 public:
  // kTlsUnusable: the key is not RSA. `queue` must live until Close.
  static Result<std::shared_ptr<TlsKey>> New(const TokenKey& key, SigningQueue& queue);

  const Bytes& id() const { return id_; }

  // A verified signature over the message. DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNAVAILABLE.
  Result<Bytes> Sign(const Algorithm& algorithm, std::string_view message);

  // Waits for running signatures and refuses later ones. OpenSSL may keep the key longer.
  void Close();

 private:
  TlsKey(Bytes id, SigningQueue& queue) : id_(std::move(id)), queue_(queue) {}

  const Bytes id_;
  SigningQueue& queue_;
  std::map<const Algorithm*, SigningKeyPtr> keys_;
  std::shared_mutex open_;  // shared by those that sign, which Mutex cannot be
  bool closed_ = false;
};

}  // namespace assertion::service
