#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace assertion {

// The client id between "/clients/" and `suffix` of a decoded path; it may hold slashes itself.
std::optional<std::string> ClientIn(std::string_view path, std::string_view suffix);

}  // namespace assertion
