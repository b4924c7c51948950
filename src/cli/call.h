#pragma once

#include <string>
#include <type_traits>
#include <utility>

#include "assertion/error.h"
#include "cli/connection.h"
#include "cli/kid.h"
#include "cli/nearest.h"

namespace assertion::cli {

// What to do next after an error of a call to assertiond.
std::string AdviceOn(const Error& error);

// Says what went wrong with a call to assertiond and what to do next; returns the exit status.
int ReportCall(const Error& error);

// The same for a change of a client's keys. `takes_force`: the verb has --force, and the hint is the command with it
// when the server says that it may be forced.
int ReportChange(const Error& error, const std::string& client_id, bool takes_force);

// Completes the kid of a request that names a client's key: see WholeKid.
template <typename Request>
Status FillKid(Connection& connection, Request& request) {
  if constexpr (requires { request.set_kid(request.client_id()); }) {
    ASSIGN_OR_RETURN(auto kid, WholeKid(connection, request.client_id(), request.kid()));
    request.set_kid(std::move(kid));
  }
  return {};
}

// Calls `method` of an open connection. The error names the nearest word that the server knows.
template <typename Request, typename Response>
Result<Response> Ask(Connection& connection, Result<Response> (Connection::*method)(const Request&),
                     const std::type_identity_t<Request>& request) {
  auto response = (connection.*method)(request);
  return response ? std::move(response)
                  : std::unexpected(WithNearest(connection, std::move(response.error()), TypedWordsOf(request)));
}

// Opens the server, calls `method` with `request`, and hands the answer to `use`, which returns the exit status.
template <typename Request, typename Response, typename Use>
int Call(const std::string& server, Result<Response> (Connection::*method)(const Request&),
         std::type_identity_t<Request> request, const Use& use) {
  auto connection = Connection::Open(server);
  if (!connection) {
    return ReportCall(connection.error());
  }
  if (const auto whole = FillKid(*connection, request); !whole) {
    return ReportCall(whole.error());
  }
  const auto response = Ask(*connection, method, request);
  return response ? use(*response) : ReportCall(response.error());
}

}  // namespace assertion::cli
