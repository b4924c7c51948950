#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "assertion/descriptor.h"
#include "assertion/error.h"

namespace assertion::cli {

// One HTTP/1.1 request, and the connection that waits for its answer.
struct LoopbackRequest {
  std::string method;
  std::string path;   // as it was sent, without query
  std::string query;  // without '?'
  bool has_query = false;
  std::map<std::string, std::string> fields;  // of the head, names in lower case
  std::string body;
  Descriptor browser;

  // The value of a field; empty if there is none.
  std::string_view Field(const std::string& name) const;
};

struct LoopbackAnswer {
  std::string status = "200 OK";
  std::string type = "text/html; charset=utf-8";
  std::string body;
  // The Content-Security-Policy. The default allows nothing at all.
  std::string policy = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
  std::vector<std::string> fields = {};  // more lines of the head
};

// An HTTP server on a loopback address for one person's browser. Its callers are every program of the machine and every
// page of the browser: it hears requests with its own Host alone, which a page that rebinds its name to it does not
// have (RFC 9110 section 7.2), and of bounded size and time. Those that only hold connections cannot keep the browser
// out: the newest replaces the oldest. Nor can those that ask without end: the oldest whole request is answered first.
class LoopbackListener {
 public:
  using Steady = std::chrono::steady_clock;

  // Port 0: one that the system chooses. Requests with more content than `most_content` octets get 413. `host` is an
  // address of 127.0.0.0/8. kAddressUnusable.
  static Result<LoopbackListener> Open(std::uint16_t port, std::size_t most_content, std::string host = "127.0.0.1");

  std::uint16_t port() const { return port_; }
  // HOST:PORT
  std::string authority() const { return host_ + ":" + std::to_string(port_); }

  // Also hears requests to localhost:PORT, on [::1] too, which a browser may try first. Does nothing if another program
  // has that port of [::1]: the browser would give it what it gives this one. Returns whether it hears them.
  bool HearLocalhost();

  // The next whole request. Answers those that are wrong by themselves. kDeadlineExceeded: there is none until `end`.
  // kCancelled: it was given up, at which it returns at once. kAddressUnusable: it cannot be given up, for want of a
  // descriptor.
  Result<LoopbackRequest> Next(Steady::time_point end, const std::stop_token& given_up = {});

  // Hears nobody any more.
  void Close();

 private:
  struct Visitor {
    Descriptor socket;
    Steady::time_point end;
    std::string text;
  };

  LoopbackListener() = default;

  bool Read(Visitor& visitor, Result<LoopbackRequest>& request);
  void Accept(const Descriptor& socket);
  // The answer of a request that is not heard; empty: it is.
  std::string RefusalOf(const LoopbackRequest& request) const;

  std::string host_;
  std::uint16_t port_ = 0;
  std::size_t most_content_ = 0;
  bool hears_localhost_ = false;
  std::vector<Descriptor> sockets_;  // that of the host, and [::1] if it hears localhost there
  std::vector<Visitor> visitors_;    // in order of coming
};

// Answers the browser and closes the connection. Gives up after 5 s.
void Answer(const Descriptor& browser, const LoopbackAnswer& answer);

}  // namespace assertion::cli
