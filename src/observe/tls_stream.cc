#include "observe/tls_stream.h"

#include <fcntl.h>
#include <openssl/err.h>

#include <algorithm>
#include <climits>

namespace assertion {
namespace {

int Limited(size_t size) { return static_cast<int>(std::min<size_t>(size, INT_MAX)); }

}  // namespace

// OpenSSL must not wait itself: it knows no deadline.
TlsStream::TlsStream(const x509::ServerContext& context, TimedStream& beneath)
    : beneath_(beneath), ssl_(SSL_new(context.get())) {
  const int socket = beneath.socket();
  const bool ready =
      ssl_ && fcntl(socket, F_SETFL, fcntl(socket, F_GETFL) | O_NONBLOCK) == 0 && SSL_set_fd(ssl_.get(), socket) == 1;
  if (!ready) {
    ssl_.reset();
  }
}

// 0: the peer has closed; -1: broken, or the deadline has come.
template <typename Call>
ssize_t TlsStream::UntilDone(Call call) {
  for (;;) {
    ERR_clear_error();
    const int done = call(ssl_.get());
    if (done > 0) {
      return done;
    }
    const int why = SSL_get_error(ssl_.get(), done);
    const bool again = (why == SSL_ERROR_WANT_READ && beneath_.is_readable()) ||
                       (why == SSL_ERROR_WANT_WRITE && beneath_.is_writable());
    if (!again) {
      ERR_clear_error();
      return why == SSL_ERROR_ZERO_RETURN ? 0 : -1;
    }
  }
}

bool TlsStream::Accept() { return ssl_ && UntilDone(SSL_accept) > 0; }

void TlsStream::Close() {
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

ssize_t TlsStream::read(char* data, size_t size) {
  return beneath_.Counted(UntilDone([&](SSL* ssl) { return SSL_read(ssl, data, Limited(size)); }));
}

ssize_t TlsStream::write(const char* data, size_t size) {
  return UntilDone([&](SSL* ssl) { return SSL_write(ssl, data, Limited(size)); });
}

}  // namespace assertion
