#pragma once

#include <functional>

#include "cli/command.h"
#include "cli/connection.h"
#include "cli/instant.h"

namespace assertion::cli {

// Says what went wrong with a call to assertiond and what to do next; returns the exit status.
int ReportCall(const Error& error);

// Opens the server, calls `method` with `request`, and hands the answer to `use`.
template <typename Request, typename Response>
int Call(const Options& options, Result<Response> (Connection::*method)(const Request&), const Request& request,
         const std::function<int(const Response&)>& use) {
  auto connection = Connection::Open(options.server);
  if (!connection) {
    return ReportCall(connection.error());
  }
  const auto response = ((*connection).*method)(request);
  return response ? use(*response) : ReportCall(response.error());
}

}  // namespace assertion::cli
