#include <chrono>
#include <string>
#include <string_view>

#include "config/sections.h"

namespace assertion {

using std::chrono::seconds;

void ReadDirectories(Fields& fields, Config& config) {
  if (const auto path = fields.TakePath("state_directory", false); !path.empty()) {
    config.state_directory = path;
  }
  const auto lock_directory = fields.TakePath("lock_directory", false);
  config.lock_directory = lock_directory.empty() ? config.state_directory + "/lock" : lock_directory;
}

// "token", or "file:" and the path of a file.
void ReadLedger(Fields& fields, Config& config) {
  constexpr std::string_view kFile = "file:";
  const auto* ledger = fields.TakeString("ledger", false);
  if (ledger == nullptr || *ledger == "token") {
    return;
  }
  if (!ledger->starts_with("file:/") || ledger->ends_with('/') || ledger->find('\0') != std::string::npos) {
    fields.Refuse("ledger", "must be \"token\", or file: and an absolute path");
    return;
  }
  config.ledger_path = ledger->substr(kFile.size());
}

void ReadIntervals(Fields& fields, Config& config) {
  config.refresh_interval = fields.TakeDuration("refresh_interval").value_or(config.refresh_interval);
  config.drain_limit = fields.TakeDuration("drain_limit").value_or(config.drain_limit);
}

}  // namespace assertion
