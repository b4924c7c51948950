#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "assertion/clock.h"
#include "assertion/error.h"
#include "assertion/v1/key_admin.pb.h"
#include "cli/status/attention.h"
#include "cli/status/monitored.h"

namespace assertion::cli {

// A call whose part of the screen is missing.
struct FailedCall {
  std::string method;
  Error error;
  std::string next = {};  // NOLINT(readability-redundant-member-init): what to do; empty: what AdviceOn says
};

// The call that tells the readiness.
inline constexpr const char* kReadinessCall = "Health/Check";

// Stands for the requests to the listener of --monitor.
inline constexpr const char* kMonitorCall = "--monitor";

// What assertionctl status found out.
struct ServerStatus {
  std::string server;
  bool ready = false;
  std::string refusal;  // why keys, changes and the audit log are not shown; empty: they are
  std::string version;  // of the server; empty: it was not told
  std::vector<FailedCall> failed;
  std::optional<v1::ListKeysResponse> keys;
  std::vector<Attention> attention;
  std::optional<v1::ListPendingChangesResponse> pending;
  std::optional<v1::GetAuditHeadResponse> audit;  // nothing: it is turned off, or not shown
  std::optional<Monitored> monitored;             // nothing: no listener was named
};

// The server is ready, and nothing is wrong.
bool AllWell(const ServerStatus& status);

// One screen for a person.
std::string StatusText(const ServerStatus& status, Time now, bool coloured);

// The same for a program, with all that needs attention.
nlohmann::ordered_json StatusJson(const ServerStatus& status);

}  // namespace assertion::cli
