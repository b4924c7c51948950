#include "cli/key/change.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "cli/whole_number.h"

namespace assertion::cli {

void AddRequestId(CLI::App* verb, ChangeFlags& change) {
  verb->add_option(
          "--request-id", change.request_id,
          "Id of this request, at most 64 characters: a repetition with the same id does not act twice; default: none")
      ->type_name("ID");
}

void AddChange(CLI::App* verb, ChangeFlags& change, const char* forcing) {
  verb->add_option("--expected-version", change.expected_version,
                   "Act only if the client's keys are at this version, which key list --json shows; default: the "
                   "present version")
      ->check(WholeNumber())
      ->type_name("N");
  AddRequestId(verb, change);
  if (forcing != nullptr) {
    change.takes_force = true;
    verb->add_option("--force", change.force_client_id,
                     std::string("Confirm by repeating the client id. Required when ") + forcing)
        ->type_name("CLIENT-ID");
  }
}

Result<std::int64_t> PresentVersion(Connection& connection, const std::string& hsm, const std::string& client_id,
                                    const std::string& kid) {
  v1::ListKeysRequest request;
  request.set_hsm(hsm);
  ASSIGN_OR_RETURN(const auto response, connection.ListKeys(request));
  const auto named = std::ranges::find_if(
      response.keys(), [&](const v1::Key& key) { return key.client_id() == client_id && key.kid() == kid; });
  if (named != response.keys().end()) {
    return named->version();
  }
  const auto version = response.versions().find(client_id);
  return version == response.versions().end() ? 0 : version->second;
}

}  // namespace assertion::cli
