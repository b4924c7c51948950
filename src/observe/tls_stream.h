#pragma once

#include <httplib.h>
#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "observe/timed_stream.h"
#include "x509/openssl.h"
#include "x509/server_context.h"

namespace assertion {

// TLS above a connection, as its server, within the deadline and the octets of what is beneath.
class TlsStream final : public httplib::Stream {
 public:
  // `beneath` must outlive it.
  TlsStream(const x509::ServerContext& context, TimedStream& beneath);

  // The handshake. False: the peer did not get through it in time, and nothing can be read or written.
  bool Accept();

  // Tells the peer that no more comes (close_notify), so that what came cannot be a part only.
  void Close();

  bool is_readable() const override { return SSL_pending(ssl_.get()) > 0 || beneath_.is_readable(); }
  bool is_writable() const override { return beneath_.is_writable(); }
  ssize_t read(char* data, size_t size) override;
  ssize_t write(const char* data, size_t size) override;
  using Stream::write;
  void get_remote_ip_and_port(std::string& address, int& port) const override {
    beneath_.get_remote_ip_and_port(address, port);
  }
  void get_local_ip_and_port(std::string& address, int& port) const override {
    beneath_.get_local_ip_and_port(address, port);
  }
  socket_t socket() const override { return beneath_.socket(); }

  // What later versions of httplib ask for.
  bool wait_readable() const { return is_readable(); }  // NOLINT(modernize-use-override)
  bool wait_writable() const { return is_writable(); }  // NOLINT(modernize-use-override)
  time_t duration() const { return 0; }                 // NOLINT(modernize-use-override)

 private:
  template <typename Call>
  ssize_t UntilDone(Call call);

  TimedStream& beneath_;
  std::unique_ptr<SSL, x509::Deleter<SSL_free>> ssl_;
};

}  // namespace assertion
