#include "cli/key/keys_of_client.h"

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

#include "config/text.h"

namespace assertion::cli {

Status KeepClient(v1::ListKeysResponse& response, const std::string& client_id) {
  std::vector<std::string_view> known;
  known.reserve(static_cast<std::size_t>(response.versions().size()));
  for (const auto& [configured, version] : response.versions()) {
    known.push_back(configured);
  }
  if (std::ranges::find(known, client_id) == known.end()) {
    return Fail(Code::kNotFound,
                "client_id: no client \"" + client_id + "\" is configured" + DidYouMean(client_id, known));
  }
  v1::ListKeysResponse kept;
  (*kept.mutable_versions())[client_id] = response.versions().at(client_id);
  for (const auto& key : response.keys()) {
    if (key.client_id() == client_id) {
      *kept.add_keys() = key;
    }
  }
  for (const auto& ledger : response.rolled_back_ledgers()) {
    if (ledger.client_id() == client_id) {
      *kept.add_rolled_back_ledgers() = ledger;
    }
  }
  *kept.mutable_hsms() = response.hsms();
  response = std::move(kept);
  return {};
}

}  // namespace assertion::cli
