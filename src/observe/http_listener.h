#pragma once

#include <functional>
#include <memory>
#include <string>

#include "assertion/error.h"
#include "observe/http_pages.h"
#include "observe/visitors.h"
#include "x509/server_context.h"

namespace assertion {

// Answers over HTTP/1.1, or HTTPS, one request a connection. One thread waits for all connections, so that no peer who
// is slow, silent or greedy keeps another waiting; a few others make what takes longer: pages and signatures of TLS
// handshakes. What a connection may take is bounded: 8 KiB of a request, 5 s from its beginning to the end of its
// answer. The connection that makes room for another (see Visitors) is closed at once.
class HttpListener {
 public:
  struct Options {
    std::string field;  // of the configuration, for errors
    std::string host;   // an address or a name
    int port = 0;       // 0: one that the system chooses
    Visitors::Limits limits = {};
    // Descriptors held back for it, so that it answers though the process has no other left.
    std::size_t spares = 0;
    std::function<x509::ServerContext()> tls = nullptr;  // asked at each connection; empty: plain HTTP
  };

  // For pages that everybody may reach: as many connections as the process's limit of descriptors has room for.
  static Visitors::Limits PublicLimits();

  // For probes and monitoring: a budget of its own, of half as many.
  static Visitors::Limits AdminLimits();

  // Listens when it returns. kAddressUnusable.
  static Result<std::unique_ptr<HttpListener>> Start(Options options, HttpPages pages);

  // Lets answers that are under way finish, for a second.
  ~HttpListener();
  HttpListener(const HttpListener&) = delete;
  HttpListener& operator=(const HttpListener&) = delete;

  int port() const;

 private:
  class Loop;

  explicit HttpListener(std::unique_ptr<Loop> loop);

  std::unique_ptr<Loop> loop_;
};

}  // namespace assertion
