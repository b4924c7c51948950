#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace assertion {

// RFC 3986 section 2.1. Nothing: it has a percent sign that begins no octet.
std::optional<std::string> PercentDecoded(std::string_view text);

// The client id between "/clients/" and `suffix` of a decoded path; it may hold slashes itself.
std::optional<std::string> ClientIn(std::string_view path, std::string_view suffix);

}  // namespace assertion
