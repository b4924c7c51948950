#include "observe/http_host.h"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <cctype>
#include <string>

namespace assertion {
namespace {

std::string InLowerCase(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

}  // namespace

bool NamesThisMachine(std::string_view host, std::string_view own) {
  constexpr std::string_view kLocalhost = "localhost";
  const auto colon = host.rfind(':');
  if (colon != std::string_view::npos && host.find_first_not_of("0123456789", colon + 1) == std::string_view::npos) {
    host = host.substr(0, colon);
  }
  boost::system::error_code no_address;
  if (host.starts_with('[') && host.ends_with(']')) {
    boost::asio::ip::make_address_v6(host.substr(1, host.size() - 2), no_address);
    return !no_address;
  }
  const auto name = InLowerCase(host.ends_with('.') ? host.substr(0, host.size() - 1) : host);
  boost::asio::ip::make_address_v4(name, no_address);
  return name.empty() || !no_address || name == kLocalhost || name.ends_with("." + std::string(kLocalhost)) ||
         name == InLowerCase(own);
}

}  // namespace assertion
