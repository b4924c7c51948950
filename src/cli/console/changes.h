#pragma once

#include <string>
#include <string_view>

#include "cli/console/door.h"
#include "cli/console/session.h"
#include "cli/loopback_listener.h"

namespace assertion::cli {

// The changes that the console can ask the server for, each with a page that asks and confirms: generate, rotate,
// revoke, approve and withdraw. They are the calls of `assertionctl key`, and confirmed as there.
class ConsoleChanges {
 public:
  // `session` must outlive the object.
  ConsoleChanges(std::string server, const ConsoleSession& session) : server_(std::move(server)), session_(session) {}

  // True if `path` is the page of a change.
  static bool Has(std::string_view path);

  // The page that asks, or the change itself and what came of it.
  LoopbackAnswer Answer(const ConsoleVisit& visit) const;

 private:
  LoopbackAnswer AskForKeys(const ConsoleVisit& visit) const;
  LoopbackAnswer AskForDecision(const ConsoleVisit& visit) const;
  LoopbackAnswer ChangeKeys(const ConsoleVisit& visit) const;
  LoopbackAnswer Decide(const ConsoleVisit& visit) const;

  LoopbackAnswer Page(const std::string& title, const std::string& html, const char* status = "200 OK") const;
  LoopbackAnswer Refused(const Error& error) const;
  template <typename Response>
  LoopbackAnswer OutcomeOf(const Result<Response>& response, const char* done) const;

  std::string server_;
  const ConsoleSession& session_;
};

}  // namespace assertion::cli
