#pragma once

#include <openssl/ssl.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "assertion/descriptor.h"
#include "x509/openssl.h"
#include "x509/server_context.h"

namespace assertion {

// Non-blocking input and output of a connection, plain or TLS.
class Wire {
 public:
  enum class State {
    kDone,
    kWaitsToRead,   // nothing was done: call again when the socket is readable
    kWaitsToWrite,  // the same, when the socket is writable
    kEnded,         // the peer has closed, or the connection is broken
  };

  struct Step {
    State state;
    std::size_t octets = 0;  // read or written
  };

  // Plain. The socket is non-blocking.
  explicit Wire(Descriptor socket) : plain_(true), socket_(std::move(socket)) {}

  // TLS, as the server. Without a context every call returns kEnded.
  Wire(Descriptor socket, const x509::ServerContext& context);

  bool plain() const { return plain_; }
  int descriptor() const { return socket_.get(); }

  // TLS only: the server's side of the handshake. Signs on the HSM, which may take long.
  Step ShakeHands();

  Step Read(std::span<char> octets);
  Step Write(std::string_view octets);

  // Ends writing. With TLS, also sends close_notify.
  void CloseWriting();

  // Reads and discards. Closing a socket with unread octets resets the connection, and the answer may be lost.
  Step Discard();

  // Returns the socket. No method may be called afterwards.
  Descriptor Release();

 private:
  template <typename Call>
  Step CallTls(Call call);

  const bool plain_;
  Descriptor socket_;
  std::unique_ptr<SSL, x509::Deleter<SSL_free>> ssl_;
};

}  // namespace assertion
