#pragma once

#include <functional>
#include <memory>
#include <string>

#include "assertion/error.h"
#include "observe/http_pages.h"
#include "observe/visitors.h"
#include "x509/server_context.h"

namespace assertion {

// Answers over HTTP/1.1, or HTTPS, one request a connection. One thread waits for all connections, so that no slow,
// silent or greedy peer keeps another waiting; two workers do what takes longer: pages and signatures of TLS
// handshakes. Each connection is bounded (see HttpConnection). One that makes room for another (see Visitors) is closed
// at once.
class HttpListener {
 public:
  struct Options {
    std::string field;  // configuration field, for errors
    std::string host;   // an address or a name
    int port = 0;       // 0: the system chooses
    Visitors::Limits limits = {};
    // Descriptors kept in reserve, so that it answers when the process has no other left.
    std::size_t spares = 0;
    std::function<x509::ServerContext()> tls = nullptr;  // asked at each connection; empty: plain HTTP
  };

  // For pages that everybody may reach: up to 512 connections, as the process's limit of descriptors has room.
  static Visitors::Limits PublicLimits();

  // For probes and monitoring: a separate budget, half as large.
  static Visitors::Limits AdminLimits();

  // Listens when it returns. kAddressUnusable.
  static Result<std::unique_ptr<HttpListener>> Start(Options options, HttpPages pages);

  // Gives answers that are under way a second to finish.
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
