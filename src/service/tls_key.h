#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <utility>
#include <vector>

#include "assertion/bytes.h"
#include "assertion/error.h"
#include "assertion/token.h"

namespace assertion::service {

// The server's TLS key in its token, found by its CKA_ID alone. Signs for any number of handshakes at a time, with
// sessions of its own, none of which outlives a reload of the module.
class TlsKey {
 public:
  // `lost`: whether the token is known not to sign; a handshake then fails at once. Both must live until Close.
  TlsKey(Token& token, Bytes id, std::function<bool()> lost)
      : token_(token), id_(std::move(id)), lost_(std::move(lost)) {}

  const Bytes& id() const { return id_; }

  // See SigningSession::SignBlock. UNAVAILABLE.
  Result<Bytes> Sign(BytesView block);

  // Waits for those that sign; later ones are refused. OpenSSL keeps the key for as long as it likes.
  void Close();

 private:
  using Session = std::unique_ptr<SigningSession>;

  Result<Bytes> SignOnce(BytesView block);
  Result<Session> Take();
  void Give(Session session);

  Token& token_;
  const Bytes id_;
  const std::function<bool()> lost_;
  std::shared_mutex open_;
  bool closed_ = false;
  std::mutex mutex_;
  std::vector<Session> idle_;
};

}  // namespace assertion::service
