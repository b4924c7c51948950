#include "observe/wire.h"

#include <openssl/err.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <utility>

namespace assertion {
namespace {

int Limited(std::size_t size) { return static_cast<int>(std::min<std::size_t>(size, INT_MAX)); }

Wire::Step StepOf(ssize_t done, Wire::State wait) {
  if (done > 0) {
    return {.state = Wire::State::kDone, .octets = static_cast<std::size_t>(done)};
  }
  return {.state = done < 0 && (errno == EAGAIN || errno == EINTR) ? wait : Wire::State::kEnded};
}

}  // namespace

Wire::Wire(Descriptor socket, const x509::ServerContext& context)
    : plain_(false), socket_(std::move(socket)), ssl_(context ? SSL_new(context.get()) : nullptr) {
  if (ssl_ && SSL_set_fd(ssl_.get(), socket_.get()) == 1) {
    SSL_set_mode(ssl_.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE);
    // Otherwise a peer that sends KeyUpdates (RFC 8446 section 4.6.3) without end keeps one SSL_read from returning.
    SSL_clear_mode(ssl_.get(), SSL_MODE_AUTO_RETRY);
  } else {
    ssl_.reset();
  }
}

template <typename Call>
Wire::Step Wire::CallTls(Call call) {
  if (!ssl_) {
    return {.state = State::kEnded};
  }
  ERR_clear_error();
  const int done = call(ssl_.get());
  if (done > 0) {
    return {.state = State::kDone, .octets = static_cast<std::size_t>(done)};
  }
  const int why = SSL_get_error(ssl_.get(), done);
  ERR_clear_error();
  return {.state = why == SSL_ERROR_WANT_READ    ? State::kWaitsToRead
                   : why == SSL_ERROR_WANT_WRITE ? State::kWaitsToWrite
                                                 : State::kEnded};
}

Wire::Step Wire::ShakeHands() { return CallTls(SSL_accept); }

Wire::Step Wire::Read(std::span<char> octets) {
  return plain_ ? StepOf(recv(socket_.get(), octets.data(), octets.size(), MSG_DONTWAIT), State::kWaitsToRead)
                : CallTls([&](SSL* ssl) { return SSL_read(ssl, octets.data(), Limited(octets.size())); });
}

Wire::Step Wire::Write(std::string_view octets) {
  return plain_ ? StepOf(send(socket_.get(), octets.data(), octets.size(), MSG_NOSIGNAL | MSG_DONTWAIT),
                         State::kWaitsToWrite)
                : CallTls([&](SSL* ssl) { return SSL_write(ssl, octets.data(), Limited(octets.size())); });
}

void Wire::CloseWriting() {
  if (ssl_ && SSL_is_init_finished(ssl_.get()) == 1) {
    SSL_shutdown(ssl_.get());
    ERR_clear_error();
  }
  shutdown(socket_.get(), SHUT_WR);
}

Wire::Step Wire::Discard() {
  std::array<char, 4096> unread{};
  return StepOf(recv(socket_.get(), unread.data(), unread.size(), MSG_DONTWAIT), State::kWaitsToRead);
}

Descriptor Wire::Release() {
  ssl_.reset();
  return std::move(socket_);
}

}  // namespace assertion
