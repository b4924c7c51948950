#include "observe/http_target.h"

namespace assertion {

std::optional<std::string> ClientIn(std::string_view path, std::string_view suffix) {
  constexpr std::string_view kPrefix = "/clients/";
  if (!path.starts_with(kPrefix) || !path.ends_with(suffix) || path.size() <= kPrefix.size() + suffix.size()) {
    return std::nullopt;
  }
  return std::string(path.substr(kPrefix.size(), path.size() - kPrefix.size() - suffix.size()));
}

}  // namespace assertion
