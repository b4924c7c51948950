#include "cli/nearest.h"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <vector>

#include "assertion/algorithm.h"
#include "config/text.h"

namespace assertion::cli {
namespace {

std::string NearestAlgorithm(const std::string& typed) {
  std::vector<std::string_view> names;
  names.reserve(std::size(kAlgorithms));
  for (const auto& algorithm : kAlgorithms) {
    names.push_back(algorithm.name);
  }
  return DidYouMean(typed, names);
}

std::string NearestClient(const v1::ListKeysResponse& list, const std::string& typed) {
  std::vector<std::string_view> client_ids;
  client_ids.reserve(static_cast<std::size_t>(list.versions().size()));
  for (const auto& [client_id, version] : list.versions()) {
    client_ids.emplace_back(client_id);
  }
  for (const auto& key : list.keys()) {
    client_ids.emplace_back(key.client_id());
  }
  return DidYouMean(typed, client_ids);
}

// A kid is copied and cut rather than typed: the one that shares the longest beginning is meant, whatever follows.
std::string NearestKid(const v1::ListKeysResponse& list, const TypedWords& typed) {
  constexpr std::size_t kShared = 4;
  std::string_view nearest;
  std::size_t longest = kShared - 1;
  for (const auto& key : list.keys()) {
    const auto shared = static_cast<std::size_t>(std::ranges::mismatch(key.kid(), typed.kid).in1 - key.kid().begin());
    if (key.client_id() == typed.client_id && shared > longest) {
      longest = shared;
      nearest = key.kid();
    }
  }
  return nearest.empty() ? "" : "; did you mean " + std::string(nearest) + "?";
}

}  // namespace

Error WithNearest(Connection& connection, Error error, const TypedWords& typed) {
  const std::string_view message = error.message;
  if (error.code == Code::kInvalidArgument && message.starts_with("algorithm: must be one of")) {
    error.message += NearestAlgorithm(typed.algorithm);
  } else if (error.code == Code::kNotFound && (message.starts_with("client_id:") || message.starts_with("kid:"))) {
    if (const auto list = connection.ListKeys({})) {
      error.message += message.starts_with("kid:") ? NearestKid(*list, typed) : NearestClient(*list, typed.client_id);
    }
  }
  return error;
}

}  // namespace assertion::cli
