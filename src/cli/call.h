#pragma once

#include <string>
#include <type_traits>

#include "assertion/error.h"
#include "cli/connection.h"

namespace assertion::cli {

// What to do next after an error of a call to assertiond.
std::string AdviceOn(const Error& error);

// Says what went wrong with a call to assertiond and what to do next; returns the exit status.
int ReportCall(const Error& error);

// Opens the server, calls `method` with `request`, and hands the answer to `use`, which returns the exit status.
template <typename Request, typename Response, typename Use>
int Call(const std::string& server, Result<Response> (Connection::*method)(const Request&),
         const std::type_identity_t<Request>& request, const Use& use) {
  auto connection = Connection::Open(server);
  if (!connection) {
    return ReportCall(connection.error());
  }
  const auto response = ((*connection).*method)(request);
  return response ? use(*response) : ReportCall(response.error());
}

}  // namespace assertion::cli
