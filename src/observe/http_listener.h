#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "assertion/error.h"
#include "observe/http_message.h"
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

  // A Unix domain socket whose connections a handler answers.
  struct Local {
    std::string field;  // configuration field, for errors
    int socket = -1;    // bound, not blocking, and open as long as the listener lives
    Visitors::Limits limits = {};
    std::function<std::optional<uid_t>(int fd)> user;  // of a connection's peer; none: the connection is closed
    std::function<bool(uid_t user)> listed;            // whether the configuration lists the user: see Visitors
    std::function<bool(uid_t user)> charge;            // at each piece of work for the user; false: the connection ends
    HttpHandler handler;
  };

  // For pages that everybody may reach: up to 512 connections, as the process's limit of descriptors has room.
  static Visitors::Limits PublicLimits();

  // For probes and monitoring: a separate budget, half as large.
  static Visitors::Limits AdminLimits();

  // Listens when it returns. kAddressUnusable.
  static Result<std::unique_ptr<HttpListener>> Start(Options options, HttpPages pages);
  static Result<std::unique_ptr<HttpListener>> Start(Local local);

  // Accepts no more connections, and gives answers that are under way this time to finish. Returns at once.
  void StopAccepting(std::chrono::milliseconds grace);

  // Gives answers that are under way a second to finish, if StopAccepting gave them no other time.
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
