#include "cli/bearer_token.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <span>
#include <string_view>

#include "assertion/descriptor.h"
#include "p11/private_file.h"

namespace assertion::cli {
namespace {

constexpr std::size_t kMostOctets = 16384;

// b64token (RFC 6750 section 2.1): nothing in it can end the header field or begin another.
bool IsBearerToken(std::string_view text) {
  const auto body = text.substr(0, text.find('='));
  return !body.empty() && text.find_first_not_of('=', body.size()) == std::string_view::npos &&
         std::ranges::all_of(body, [](char c) {
           return std::isalnum(static_cast<unsigned char>(c)) != 0 || std::string_view("-._~+/").contains(c);
         });
}

// `where`: where the octets come from, for the error.
Result<std::string> TokenIn(std::span<const unsigned char> octets, const std::string& where) {
  std::string token(octets.begin(), octets.end());
  if (token.ends_with('\n')) {
    token.pop_back();
  }
  if (octets.size() >= kMostOctets || !IsBearerToken(token)) {
    return Fail(Code::kPinUnreadable, where + " must hold one access token and nothing else");
  }
  return token;
}

}  // namespace

Result<std::string> ReadBearerToken(const std::string& path) {
  std::array<unsigned char, kMostOctets> octets{};
  ASSIGN_OR_RETURN(const auto size, p11::ReadPrivateFile("token file", path, octets));
  return TokenIn(std::span(octets).first(size), "the token file " + path);
}

Result<std::string> ReadBearerToken(int descriptor) {
  const auto where = "descriptor " + std::to_string(descriptor);
  std::array<unsigned char, kMostOctets> octets{};
  const auto size = ReadAll(descriptor, octets);
  return size ? TokenIn(std::span(octets).first(*size), where)
              : Fail(Code::kPinUnreadable, where + " cannot be read for an access token");
}

}  // namespace assertion::cli
