#pragma once

#include <functional>
#include <string>
#include <variant>

#include "cli/console/session.h"
#include "cli/loopback_listener.h"
#include "oauth/form.h"

namespace assertion::cli {

// A request that the console's person made in the browser that entered.
struct ConsoleVisit {
  bool changes;              // a form that was sent with POST
  std::string path;          // below the session's place: "" is the first page
  oauth::FormFields fields;  // of the query or of the form
};

// Decides which requests are the person's. All other programs of the machine and all pages of the browser can send
// requests to the port, too.
class ConsoleDoor {
 public:
  ConsoleDoor(ConsoleSession session, std::uint16_t port);

  // The path and query of the one-time address.
  std::string EntrancePath() const { return "/enter?secret=" + session_.entrance(); }

  // The visit, or the answer of a request that is none: the entrance, the style sheet, a refusal.
  std::variant<ConsoleVisit, LoopbackAnswer> Admit(const LoopbackRequest& request, ConsoleSession::Moment now);

  const ConsoleSession& session() const { return session_; }

 private:
  LoopbackAnswer Enter(const LoopbackRequest& request, ConsoleSession::Moment now);
  // Why a form is not one of the session's own pages; empty: it is.
  std::string WrongOf(const LoopbackRequest& request) const;

  ConsoleSession session_;
  const std::string cookie_name_;
};

}  // namespace assertion::cli
