#include "cli/nearest.h"

#include <algorithm>
#include <string_view>

#include "cli/key/keys_of_client.h"
#include "config/text.h"

namespace assertion::cli {
namespace {

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
  return nearest.empty() ? "" : "; did you mean \"" + std::string(nearest) + "\"?";
}

}  // namespace

Error WithNearest(Connection& connection, Error error, const TypedWords& typed) {
  const std::string_view message = error.message;
  if (error.code == Code::kInvalidArgument && message.starts_with("algorithm: must be one of")) {
    error.message += NearestAlgorithm(typed.algorithm);
  } else if (error.code == Code::kNotFound && (message.starts_with("client_id:") || message.starts_with("kid:"))) {
    auto list = connection.ListKeys({});
    if (list && message.starts_with("kid:")) {
      error.message += NearestKid(*list, typed);
    } else if (const auto known = list ? KeepClient(*list, typed.client_id) : Status(); !known) {
      error.message = known.error().message;
    }
  }
  return error;
}

}  // namespace assertion::cli
