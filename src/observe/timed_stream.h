#pragma once

#include <httplib.h>

#include <chrono>
#include <string>

namespace assertion {

// A connection for httplib to read and write, until a deadline for the whole, and so many octets: httplib itself limits
// each wait only, and the length of a header but not their number, so that a peer who sends an octet now and then would
// hold a thread, and the stop of the process, for ever, and a peer who sends headers without end all memory.
class TimedStream final : public httplib::Stream {
 public:
  // Does not own the socket. Reading fails after `most` octets.
  TimedStream(int socket, std::chrono::steady_clock::time_point deadline, size_t most)
      : socket_(socket), left_(most), deadline_(deadline) {}

  bool is_readable() const override;
  bool is_writable() const override;
  ssize_t read(char* data, size_t size) override;
  ssize_t write(const char* data, size_t size) override;
  using Stream::write;
  void get_remote_ip_and_port(std::string& address, int& port) const override { Unknown(address, port); }
  void get_local_ip_and_port(std::string& address, int& port) const override { Unknown(address, port); }
  socket_t socket() const override { return socket_; }

  // What a read of the peer's octets came to: `received`, or -1 when these are more than it may send.
  ssize_t Counted(ssize_t received);
  bool overrun() const { return overrun_; }  // the peer has sent more than it may

  // What later versions of httplib ask for.
  bool wait_readable() const { return is_readable(); }  // NOLINT(modernize-use-override)
  bool wait_writable() const { return is_writable(); }  // NOLINT(modernize-use-override)
  time_t duration() const { return 0; }                 // NOLINT(modernize-use-override)

 private:
  bool Wait(short events) const;
  static void Unknown(std::string& address, int& port) {
    address.clear();
    port = 0;
  }

  const int socket_;
  size_t left_;
  bool overrun_ = false;
  const std::chrono::steady_clock::time_point deadline_;
};

}  // namespace assertion
