#include "x509/general_name.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <ranges>
#include <string>
#include <utility>

#include "assertion/bytes.h"

namespace assertion::x509 {
namespace {

constexpr std::size_t kMostCharacters = 255;

bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsHexDigit(char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; }

std::unexpected<Error> RefuseGeneralName(std::string message) {
  return Fail(Code::kInvalidArgument, std::move(message));
}

bool IsLabel(std::string_view label) {
  return !label.empty() && label.size() <= 63 && label.front() != '-' && label.back() != '-' &&
         std::ranges::all_of(label, [](char c) { return IsLetter(c) || IsDigit(c) || c == '-'; });
}

// RFC 1123 section 2.1. Where the last label is digits alone, it is an address that went into the wrong field.
bool IsHostName(std::string_view name) {
  const auto last = name.substr(name.rfind('.') + 1);
  return name.size() <= 253 && !std::ranges::all_of(last, IsDigit) &&
         std::ranges::all_of(name | std::views::split('.'),
                             [](const auto& label) { return IsLabel({label.begin(), label.end()}); });
}

// The octets of an address in network order, 4 or 16; none when it is no address.
Bytes AddressOctets(std::string_view text) {
  std::array<unsigned char, 16> octets{};
  // inet_pton would stop at a NUL and take what stands before it.
  if (!std::ranges::all_of(text, [](char c) { return IsHexDigit(c) || c == '.' || c == ':'; })) {
    return {};
  }
  const std::string terminated(text);
  if (inet_pton(AF_INET, terminated.c_str(), octets.data()) == 1) {
    return {octets.begin(), octets.begin() + 4};
  }
  return inet_pton(AF_INET6, terminated.c_str(), octets.data()) == 1 ? Bytes(octets.begin(), octets.end()) : Bytes();
}

bool IsScheme(std::string_view text) {
  return !text.empty() && IsLetter(text.front()) && std::ranges::all_of(text, [](char c) {
    return IsLetter(c) || IsDigit(c) || c == '+' || c == '-' || c == '.';
  });
}

// host [":" port]; RFC 5280 wants the host, RFC 3986 section 3.2 would also allow a user.
bool IsAuthority(std::string_view text) {
  const auto colon = text.rfind(':');
  const auto end = text.ends_with(']') || colon == std::string_view::npos ? text.size() : colon;
  const auto host = text.substr(0, end);
  const auto port = end == text.size() ? "" : text.substr(end + 1);
  if (port.size() > 5 || !std::ranges::all_of(port, IsDigit)) {
    return false;
  }
  if (host.starts_with('[') && host.ends_with(']')) {
    return AddressOctets(host.substr(1, host.size() - 2)).size() == 16;
  }
  return IsHostName(host) || AddressOctets(host).size() == 4;
}

// Path, query and fragment: pchar, "/" and "?", and one "#" (RFC 3986 section 3.3 to 3.5).
bool IsPathQueryAndFragment(std::string_view text) {
  for (auto rest = text; !rest.empty(); rest.remove_prefix(1)) {
    const bool escaped = rest[0] == '%' && rest.size() > 2 && IsHexDigit(rest[1]) && IsHexDigit(rest[2]);
    if (!escaped && !IsLetter(rest[0]) && !IsDigit(rest[0]) &&
        !std::string_view("-._~!$&'()*+,;=:@/?#").contains(rest[0])) {
      return false;
    }
  }
  return std::ranges::count(text, '#') <= 1;
}

bool IsUri(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos || !IsScheme(text.substr(0, colon))) {
    return false;
  }
  auto rest = text.substr(colon + 1);
  if (rest.starts_with("//")) {
    rest.remove_prefix(2);
    const auto end = std::min(rest.find_first_of("/?#"), rest.size());
    return IsAuthority(rest.substr(0, end)) && IsPathQueryAndFragment(rest.substr(end));
  }
  return !rest.empty() && IsPathQueryAndFragment(rest);
}

// RFC 5321 section 4.1.2: atoms with dots between.
bool IsLocalPart(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::ranges::all_of(text | std::views::split('.'), [](const auto& atom) {
    return !atom.empty() && std::ranges::all_of(atom, [](char c) {
      return IsLetter(c) || IsDigit(c) || std::string_view("!#$%&'*+-/=?^_`{|}~").contains(c);
    });
  });
}

bool IsMailbox(std::string_view text) {
  const auto at = text.find('@');
  return at != std::string_view::npos && IsLocalPart(text.substr(0, at)) && IsHostName(text.substr(at + 1));
}

// How each kind is written, and its form in the certificate. A check that fails gives no octets.
struct Kind {
  std::string_view prefix;
  int type;
  int string_type;
  Bytes (*octets)(std::string_view);
  std::string_view wanted;
};

Bytes Text(std::string_view text, bool good) { return good ? Bytes(text.begin(), text.end()) : Bytes(); }

constexpr std::array kKinds = {
    Kind{.prefix = "DNS:",
         .type = GEN_DNS,
         .string_type = V_ASN1_IA5STRING,
         .octets = [](std::string_view text) { return Text(text, IsHostName(text)); },
         .wanted = "DNS: must be a host name, for example orders.example.com; an address goes into IP:"},
    Kind{.prefix = "URI:",
         .type = GEN_URI,
         .string_type = V_ASN1_IA5STRING,
         .octets = [](std::string_view text) { return Text(text, IsUri(text)); },
         .wanted = "URI: must be an absolute URI without user, for example spiffe://example.com/orders"},
    Kind{.prefix = "email:",
         .type = GEN_EMAIL,
         .string_type = V_ASN1_IA5STRING,
         .octets = [](std::string_view text) { return Text(text, IsMailbox(text)); },
         .wanted = "email: must be an address alone, for example ops@example.com"},
    Kind{.prefix = "IP:",
         .type = GEN_IPADD,
         .string_type = V_ASN1_OCTET_STRING,
         .octets = AddressOctets,
         .wanted = "IP: must be one IPv4 or IPv6 address"},
};

}  // namespace

Result<GeneralNamePtr> ParseGeneralName(std::string_view text) {
  const auto* kind = std::ranges::find_if(kKinds, [&](const auto& k) { return text.starts_with(k.prefix); });
  if (kind == kKinds.end()) {
    return RefuseGeneralName("must begin with DNS:, URI:, email: or IP:");
  }
  text.remove_prefix(kind->prefix.size());
  if (text.size() > kMostCharacters) {
    return RefuseGeneralName("must be at most " + std::to_string(kMostCharacters) + " characters");
  }
  const auto octets = kind->octets(text);
  if (octets.empty()) {
    return RefuseGeneralName(std::string(kind->wanted));
  }
  GeneralNamePtr name(GENERAL_NAME_new());
  std::unique_ptr<ASN1_STRING, Deleter<ASN1_STRING_free>> value(ASN1_STRING_type_new(kind->string_type));
  if (!name || !value || ASN1_STRING_set(value.get(), octets.data(), static_cast<int>(octets.size())) != 1) {
    return Fail(Code::kInternal, "the name could not be made", "ASN1_STRING_set: " + TakeErrors());
  }
  GENERAL_NAME_set0_value(name.get(), kind->type, value.release());
  return name;
}

}  // namespace assertion::x509
