#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "assertion/error.h"
#include "assertion/random.h"

namespace assertion::cli {

// The one person who uses a console: whoever opens its one-time address first. Four secrets of 256 random bits:
//
//   entrance  in the address, taken once
//   cookie    given for the entrance, shows that the browser is the one that entered
//   place     the first segment of every path. Browsers send cookies to all ports of a host: the cookie is for this
//   path
//             alone, so that another user's server on 127.0.0.1 does not get it
//   form      in every form, so that no other page can send one
//
// Its host is as unforeseen: a service worker that another user's server on the same host and port has planted in the
// browser before would answer for the console.
class ConsoleSession {
 public:
  using Moment = std::chrono::steady_clock::time_point;

  // A session ends after `idle` without a request, and 8 hours after it began. kInternal.
  static Result<ConsoleSession> New(const Random& random, std::chrono::seconds idle, Moment now);

  const std::string& entrance() const { return entrance_; }
  const std::string& cookie() const { return cookie_; }
  const std::string& place() const { return place_; }
  const std::string& form() const { return form_; }
  // An address of 127.0.0.0/8, 24 bits of it random.
  const std::string& host() const { return host_; }

  // True for the right secret, once.
  bool Enter(std::string_view secret, Moment now);
  bool entered() const { return entered_; }

  // True for a Cookie field with this session's cookie, which has not ended. Puts off its end.
  bool Continue(std::string_view cookies, const std::string& cookie_name, Moment now);

  bool IsForm(std::string_view secret) const;

  // Nobody can use the session any more, or enter.
  Moment end() const;

 private:
  ConsoleSession(std::chrono::seconds idle, Moment now) : idle_(idle), began_(now), used_(now) {}

  std::chrono::seconds idle_;
  Moment began_;
  Moment used_;
  bool entered_ = false;
  std::string entrance_;
  std::string cookie_;
  std::string place_;
  std::string form_;
  std::string host_;
};

}  // namespace assertion::cli
