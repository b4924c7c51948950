#pragma once

#include <optional>
#include <string>

#include "cli/console/door.h"
#include "cli/console/session.h"
#include "cli/console/trial.h"
#include "cli/loopback_listener.h"
#include "oauth/form.h"

namespace assertion::cli {

// The page that tries a log-in: its form, the trial under way or the last one, and the same for the command line. There
// is one trial at a time, which ends with the object.
class ConsoleLogin {
 public:
  // `session` must outlive the object. `ca_file`: the provider's authorities; empty: the system's.
  ConsoleLogin(std::string server, std::string ca_file, const ConsoleSession& session)
      : server_(std::move(server)), ca_file_(std::move(ca_file)), session_(session) {}

  static bool Has(std::string_view path) { return path == "login"; }

  LoopbackAnswer Answer(const ConsoleVisit& visit);

 private:
  LoopbackAnswer Page(const oauth::FormFields& query) const;
  LoopbackAnswer Change(const oauth::FormFields& form);
  LoopbackAnswer BackTo(const oauth::FormFields& query) const;

  const std::string server_;
  const std::string ca_file_;
  const ConsoleSession& session_;
  oauth::FormFields tried_;  // of the trial
  std::optional<LoginTrial> trial_;
};

}  // namespace assertion::cli
