#include "cli/key/change.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "cli/kid.h"
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

namespace {

std::int64_t VersionIn(const v1::ListKeysResponse& list, const std::string& client_id, const std::string& kid) {
  const auto named = std::ranges::find_if(
      list.keys(), [&](const v1::Key& key) { return key.client_id() == client_id && key.kid() == kid; });
  if (named != list.keys().end()) {
    return named->version();
  }
  const auto version = list.versions().find(client_id);
  return version == list.versions().end() ? 0 : version->second;
}

}  // namespace

Result<ChangedKey> FindChangedKey(Connection& connection, const std::string& hsm, const std::string& client_id,
                                  const std::string& typed, std::optional<std::int64_t> expected) {
  if (expected && !IsShortKid(typed)) {
    return ChangedKey{.kid = typed, .version = *expected};
  }
  v1::ListKeysRequest request;
  request.set_hsm(hsm);
  const auto list = connection.ListKeys(request);
  if (!list) {
    return expected ? Result<ChangedKey>(ChangedKey{.kid = typed, .version = *expected})
                    : std::unexpected(list.error());
  }
  ASSIGN_OR_RETURN(auto kid, WholeKidIn(*list, client_id, typed));
  const auto version = expected ? *expected : VersionIn(*list, client_id, kid);
  return ChangedKey{.kid = std::move(kid), .version = version};
}

}  // namespace assertion::cli
