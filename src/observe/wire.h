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

// A connection's octets, plain or within TLS, of which nothing ever waits for the peer.
class Wire {
 public:
  enum class State {
    kDone,
    kWaitsToRead,   // nothing was done: again once the socket can be read
    kWaitsToWrite,  // the same, once it can be written
    kEnded,         // the peer has closed, or the connection is broken
  };

  struct Step {
    State state;
    std::size_t octets = 0;  // that were done
  };

  // Takes over a socket that does not block. Plain.
  explicit Wire(Descriptor socket) : plain_(true), socket_(std::move(socket)) {}

  // Within TLS, as its server. No context: broken.
  Wire(Descriptor socket, const x509::ServerContext& context);

  bool plain() const { return plain_; }
  int descriptor() const { return socket_.get(); }

  // Of TLS: the server's side of the handshake. Signs by the HSM, which may take long.
  Step ShakeHands();

  Step Read(std::span<char> octets);
  Step Write(std::string_view octets);

  // Nothing more is written; with TLS, the peer is told that it has all.
  void CloseWriting();

  // Reads and forgets. Closed with octets unread, a connection is reset, and the answer may be lost.
  Step Discard();

  // Gives the socket up; after that nothing may be called.
  Descriptor Release();

 private:
  template <typename Call>
  Step ByTls(Call call);

  const bool plain_;
  Descriptor socket_;
  std::unique_ptr<SSL, x509::Deleter<SSL_free>> ssl_;
};

}  // namespace assertion
