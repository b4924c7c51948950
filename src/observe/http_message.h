#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace assertion {

struct HttpRequest {
  std::string method;
  std::string target;         // as it was sent, percent-encoded
  std::string accept;         // all Accept fields, with commas between; empty: none
  std::string if_none_match;  // empty: none
  bool has_content = false;
  std::string traceparent = {};    // NOLINT(readability-redundant-member-init): empty: none
  std::optional<uid_t> user = {};  // of the peer, as the kernel knows it; over a Unix domain socket alone
  // The listener is for this machine alone, and Host names another: a web page has given its name this machine's
  // address (DNS rebinding), or a proxy passes on what it was asked as.
  bool misdirected = false;
  // Set: what came is no request of HTTP/1.1, and all else but `user` is empty. Only handlers get such.
  struct Fault {
    int status;
    const char* text;
  };
  std::optional<Fault> fault = {};  // NOLINT(readability-redundant-member-init)
};

struct HttpAnswer {
  int status = 200;
  std::string body;                                               // of HEAD: what GET would have, which is not sent
  std::vector<std::pair<const char*, std::string>> headers = {};  // NOLINT(readability-redundant-member-init)
};

// Sends the answer. May be called on any thread, once; after the connection or the listener has ended it does nothing.
using HttpReply = std::move_only_function<void(HttpAnswer)>;

// Answers requests that may have to wait. Called on the listener's thread, which it must not block. What it returns is
// called, on the same thread, if the connection ends before the answer; it may be empty.
using HttpHandler = std::function<std::function<void()>(const HttpRequest& request, HttpReply reply)>;

}  // namespace assertion
