#include "cli/kid.h"

#include <algorithm>
#include <iterator>

namespace assertion::cli {

Result<std::string> MatchKid(const std::vector<std::string>& kids, const std::string& typed) {
  std::vector<std::string> found;
  std::ranges::copy_if(kids, std::back_inserter(found), [&](const auto& kid) { return kid.starts_with(typed); });
  std::ranges::sort(found);  // a key is listed once for each HSM that has it
  const auto repeated = std::ranges::unique(found);
  found.erase(repeated.begin(), repeated.end());
  if (found.empty() || std::ranges::find(found, typed) != found.end()) {
    return typed;
  }
  if (typed.size() < kShortestKid) {
    return Fail(Code::kInvalidArgument, "--kid: \"" + typed + "\" is too short: type at least the first " +
                                            std::to_string(kShortestKid) + " characters of the kid");
  }
  if (found.size() > 1) {
    std::string candidates;
    for (const auto& kid : found) {
      candidates += (candidates.empty() ? "" : ", ") + kid;
    }
    return Fail(Code::kInvalidArgument,
                "--kid: several keys of this client begin with \"" + typed + "\": " + candidates + "; type more of it");
  }
  return found.front();
}

Result<std::string> WholeKidIn(const v1::ListKeysResponse& list, const std::string& client_id,
                               const std::string& typed) {
  if (!IsShortKid(typed)) {
    return typed;
  }
  std::vector<std::string> kids;
  for (const auto& key : list.keys()) {
    if (key.client_id() == client_id) {
      kids.push_back(key.kid());
    }
  }
  return MatchKid(kids, typed);
}

Result<std::string> WholeKid(Connection& connection, const std::string& client_id, const std::string& typed) {
  if (!IsShortKid(typed)) {
    return typed;
  }
  const auto list = connection.ListKeys({});
  return list ? WholeKidIn(*list, client_id, typed) : typed;
}

}  // namespace assertion::cli
