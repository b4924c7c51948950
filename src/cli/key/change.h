#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "assertion/error.h"
#include "assertion/secret.h"
#include "cli/call.h"
#include "cli/connection.h"
#include "cli/key/pending_change.h"

namespace CLI {
class App;
}

namespace assertion::cli {

// Flags of every change of a client's keys.
struct ChangeFlags {
  std::optional<std::int64_t> expected_version;
  std::string request_id;
  std::string instants_as_given;  // of the request, as typed; empty: none
  std::string force_client_id;
  bool takes_force = false;
};

// What status 0 of a change means, for --help.
inline constexpr const char* kDoneOrWaits =
    "done; or it waits for a second person: then nothing has changed, and --json prints {\"pending\": {\"id\": …}}";

// `forcing` says what --force goes through with; null: the verb has no --force.
void AddChange(CLI::App* verb, ChangeFlags& change, const char* forcing);
void AddRequestId(CLI::App* verb, ChangeFlags& change);

// The key that a change is of, and the version that it expects.
struct ChangedKey {
  std::string kid;
  std::int64_t version = 0;
};

// Completes `typed` (see WholeKid) and finds the version: `expected`, or by default that of the ledger that has the key
// or, without such a key, of the client's on that HSM; 0: it has none. One listing of the keys tells both, where
// either is missing. Errors of ListKeys, if there is no `expected`.
Result<ChangedKey> FindChangedKey(Connection& connection, const std::string& hsm, const std::string& client_id,
                                  const std::string& typed, std::optional<std::int64_t> expected);

// The refusal of a change that is asked for by a caller who may not list keys. `unlisted` is the refusal of ListKeys,
// which names the role that reading needs, not the one that the change needs. The server makes no change without the
// expected version, so asking for one without it changes nothing even if a reload grants the role meanwhile.
template <typename Request, typename Response>
Error RefusalOfChange(Connection& connection, Result<Response> (Connection::*method)(const Request&), Request request,
                      Error unlisted) {
  request.mutable_change()->clear_expected_version();
  if constexpr (requires { request.mutable_private_key(); }) {  // no refusal needs it
    WipeOctets(*request.mutable_private_key());
    request.clear_private_key();
  }
  auto answer = (connection.*method)(request);
  if (answer) {
    return {.code = Code::kInternal,
            .message = "the server made a change without change.expected_version, which it must refuse",
            .detail = {}};
  }
  return answer.error().code == Code::kPermissionDenied ? std::move(answer.error()) : std::move(unlisted);
}

// SendChange, which leaves a private key in the request.
template <typename Request, typename Response>
Result<Response> SendUnwiped(const std::string& server, Result<Response> (Connection::*method)(const Request&),
                             Request& request, const ChangeFlags& flags) {
  if (!flags.force_client_id.empty() && flags.force_client_id != request.client_id()) {
    return Fail(Code::kInvalidArgument, "--force: must repeat the client id, not \"" + flags.force_client_id +
                                            "\": --force " + request.client_id());
  }
  ASSIGN_OR_RETURN(auto connection, Connection::Open(server));
  auto& change = *request.mutable_change();
  change.set_request_id(flags.request_id);
  change.set_instants_as_given(flags.request_id.empty() ? "" : flags.instants_as_given);
  change.set_force_client_id(flags.force_client_id);
  std::string hsm;
  std::string kid;
  if constexpr (requires { request.hsm(); }) {
    hsm = request.hsm();
  }
  if constexpr (requires { request.kid(); }) {
    kid = request.kid();
  }
  const auto key = FindChangedKey(connection, hsm, request.client_id(), kid, flags.expected_version);
  if (!key) {
    return std::unexpected(key.error().code == Code::kPermissionDenied
                               ? RefusalOfChange(connection, method, std::move(request), key.error())
                               : key.error());
  }
  if constexpr (requires { request.set_kid(kid); }) {
    request.set_kid(key->kid);
  }
  change.set_expected_version(key->version);
  return Ask(connection, method, request);
}

// Sends `request`, which names the client and its key, to be done at the version that --expected-version names, or by
// default at the present one. Wipes the private key of an import, sent or not.
template <typename Request, typename Response>
Result<Response> SendChange(const std::string& server, Result<Response> (Connection::*method)(const Request&),
                            Request& request, const ChangeFlags& flags) {
  auto response = SendUnwiped(server, method, request, flags);
  if constexpr (requires { request.mutable_private_key(); }) {
    WipeOctets(*request.mutable_private_key());
  }
  return response;
}

// Sends a change and hands its answer to `use`, and the request as it was sent if `use` takes it. A change that waits
// for a second operator is shown as such instead. Returns the exit status.
template <typename Request, typename Response, typename Use>
int Change(const std::string& server, Result<Response> (Connection::*method)(const Request&), Request request,
           const ChangeFlags& flags, bool json, const Use& use) {
  const auto client_id = request.client_id();
  const auto response = SendChange(server, method, request, flags);
  if (!response) {
    return ReportChange(response.error(), client_id, flags.takes_force);
  }
  if constexpr (requires { response->has_pending(); }) {
    if (response->has_pending()) {
      return WritePending(response->pending(), json);
    }
  }
  if constexpr (requires { use(*response, request); }) {
    return use(*response, request);
  } else {
    return use(*response);
  }
}

}  // namespace assertion::cli
