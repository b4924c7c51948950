#include "x509/distinguished_name.h"

#include <openssl/asn1.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <ranges>
#include <string>
#include <utility>
#include <vector>

#include "assertion/bytes.h"

namespace assertion::x509 {
namespace {

constexpr std::size_t kMostNameOctets = 1024;
constexpr std::string_view kWanted = "CN, O, OU, C, ST, L, DC, serialNumber, emailAddress";
constexpr std::string_view kMustEscape = "\"+,;<>\\";  // RFC 4514 section 2.4, anywhere in a value

struct AttributeType {
  std::string_view name;
  int nid;
  int string_type;   // of ASN.1
  std::size_t most;  // characters
};

// The bounds are those of RFC 5280 appendix A.1; a DC is one label of a host name (RFC 4519 section 2.4).
constexpr std::array kTypes = {
    AttributeType{.name = "CN", .nid = NID_commonName, .string_type = V_ASN1_UTF8STRING, .most = 64},
    AttributeType{.name = "O", .nid = NID_organizationName, .string_type = V_ASN1_UTF8STRING, .most = 64},
    AttributeType{.name = "OU", .nid = NID_organizationalUnitName, .string_type = V_ASN1_UTF8STRING, .most = 64},
    AttributeType{.name = "C", .nid = NID_countryName, .string_type = V_ASN1_PRINTABLESTRING, .most = 2},
    AttributeType{.name = "ST", .nid = NID_stateOrProvinceName, .string_type = V_ASN1_UTF8STRING, .most = 128},
    AttributeType{.name = "L", .nid = NID_localityName, .string_type = V_ASN1_UTF8STRING, .most = 128},
    AttributeType{.name = "DC", .nid = NID_domainComponent, .string_type = V_ASN1_IA5STRING, .most = 63},
    AttributeType{.name = "serialNumber", .nid = NID_serialNumber, .string_type = V_ASN1_PRINTABLESTRING, .most = 64},
    AttributeType{.name = "emailAddress", .nid = NID_pkcs9_emailAddress, .string_type = V_ASN1_IA5STRING, .most = 255},
};

struct Attribute {
  const AttributeType* type;
  std::string value;  // unescaped
};

std::unexpected<Error> RefuseName(std::string message) { return Fail(Code::kInvalidArgument, std::move(message)); }

bool SameIgnoringCase(std::string_view left, std::string_view right) {
  return std::ranges::equal(left, right, [](unsigned char a, unsigned char b) { return tolower(a) == tolower(b); });
}

// RFC 4512 section 1.4: keystring or numericoid. Only such text is repeated in a message.
bool LooksLikeType(std::string_view text) {
  return !text.empty() &&
         std::ranges::all_of(text, [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '.'; });
}

std::string_view WithoutBlanks(std::string_view text) {
  const auto first = text.find_first_not_of(' ');
  return first == std::string_view::npos ? "" : text.substr(first, text.find_last_not_of(' ') - first + 1);
}

// Takes "TYPE=" off the front.
Result<const AttributeType*> TakeType(std::string_view& rest) {
  const auto end = rest.find_first_of("=,");
  const auto written = rest.substr(0, end);
  const auto bare = WithoutBlanks(written);
  if (end == std::string_view::npos || rest[end] != '=' || !LooksLikeType(bare)) {
    return RefuseName("write it as TYPE=value, separated by commas, for example CN=orders,O=Example Ltd,C=DE");
  }
  if (bare.size() != written.size()) {
    return RefuseName("remove the blanks around the type " + std::string(bare));
  }
  const auto* type = std::ranges::find_if(kTypes, [&](const auto& t) { return SameIgnoringCase(t.name, bare); });
  if (type == kTypes.end()) {
    return RefuseName("the type " + std::string(bare) + " is not one of " + std::string(kWanted));
  }
  rest.remove_prefix(end + 1);
  return type;
}

// Takes what a backslash introduces (RFC 4514 section 3, "pair") off the front.
std::optional<char> TakeEscaped(std::string_view& rest) {
  if (!rest.empty() && (kMustEscape.contains(rest[0]) || rest[0] == ' ' || rest[0] == '#' || rest[0] == '=')) {
    const char literal = rest[0];
    rest.remove_prefix(1);
    return literal;
  }
  const auto digits = rest.substr(0, 2);
  if (digits.size() != 2 || !std::ranges::all_of(digits, [](unsigned char c) { return std::isxdigit(c) != 0; })) {
    return std::nullopt;
  }
  rest.remove_prefix(2);
  return static_cast<char>(std::stoi(std::string(digits), nullptr, 16));
}

// Takes a value off the front, up to an unescaped comma, and unescapes it.
Result<std::string> TakeValue(std::string_view type, std::string_view& rest) {
  const auto where = "the value of " + std::string(type) + ": ";
  std::string value;
  bool ends_with_blank = false;  // and not an escaped one
  if (rest.starts_with('#')) {
    return RefuseName(where + "hexadecimal values are not read; escape a literal # as \\#");
  }
  while (!rest.empty() && rest[0] != ',') {
    const char c = rest[0];
    rest.remove_prefix(1);
    ends_with_blank = c == ' ';
    if (c == '+') {
      return RefuseName(where + "two attributes joined by + are not read; escape a literal + as \\+");
    }
    if (c == '\\') {
      const auto escaped = TakeEscaped(rest);
      if (!escaped) {
        return RefuseName(where + "after a backslash comes one of \"+,;<>\\#= or a blank, or two hexadecimal digits");
      }
      value += *escaped;
      continue;
    }
    if (kMustEscape.contains(c)) {
      return RefuseName(where + "escape " + c + " as \\" + c);
    }
    if (c == ' ' && value.empty()) {
      return RefuseName(where + "remove the blank at its beginning, or escape it with a backslash");
    }
    value += c;
  }
  if (ends_with_blank) {
    return RefuseName(where + "remove the blank at its end, or escape it with a backslash");
  }
  return value;
}

// The number of Unicode characters; unset when it is not UTF-8, or holds a control character.
std::optional<std::size_t> CountPrintable(std::string_view text) {
  auto octets = AsBytes(text);
  std::size_t count = 0;
  while (!octets.empty()) {
    unsigned long character = 0;
    const auto size = UTF8_getc(octets.data(), static_cast<int>(octets.size()), &character);
    if (size <= 0 || character < 0x20 || (character >= 0x7F && character < 0xA0)) {
      return std::nullopt;
    }
    octets = octets.subspan(static_cast<std::size_t>(size));
    ++count;
  }
  return count;
}

// X.680 section 41.4.
bool IsPrintableString(std::string_view text) {
  return std::ranges::all_of(text, [](unsigned char c) {
    return c < 0x80 && (std::isalnum(c) != 0 || std::string_view(" '()+,-./:=?").contains(static_cast<char>(c)));
  });
}

bool IsAscii(std::string_view text) {
  return std::ranges::all_of(text, [](unsigned char c) { return c < 0x80; });
}

Status CheckValue(const AttributeType& type, std::string_view value) {
  const auto where = "the value of " + std::string(type.name) + ": ";
  const auto characters = CountPrintable(value);
  if (!characters) {
    return RefuseName(where + "must be UTF-8 without control characters");
  }
  if (*characters == 0 || *characters > type.most) {
    return RefuseName(where + "must be 1 to " + std::to_string(type.most) + " characters");
  }
  if (type.nid == NID_countryName &&
      (value.size() != 2 || !std::ranges::all_of(value, [](char c) { return c >= 'A' && c <= 'Z'; }))) {
    return RefuseName(where + "must be two capital letters (ISO 3166)");
  }
  if (type.string_type == V_ASN1_PRINTABLESTRING && !IsPrintableString(value)) {
    return RefuseName(where + "may only hold letters, digits, blanks and '()+,-./:=?");
  }
  if (type.string_type == V_ASN1_IA5STRING && !IsAscii(value)) {
    return RefuseName(where + "must be ASCII");
  }
  return {};
}

Result<std::vector<Attribute>> ReadAttributes(std::string_view rest) {
  std::vector<Attribute> attributes;
  while (!rest.empty()) {
    ASSIGN_OR_RETURN(const auto type, TakeType(rest));
    ASSIGN_OR_RETURN(auto value, TakeValue(type->name, rest));
    RETURN_IF_ERROR(CheckValue(*type, value));
    attributes.push_back({.type = type, .value = std::move(value)});
    if (rest == ",") {
      return RefuseName("remove the comma at the end");
    }
    if (!rest.empty()) {
      rest.remove_prefix(1);
    }
  }
  return attributes;
}

}  // namespace

Result<NamePtr> ParseDistinguishedName(std::string_view text) {
  if (text.size() > kMostNameOctets) {
    return RefuseName("must be at most " + std::to_string(kMostNameOctets) + " octets");
  }
  ASSIGN_OR_RETURN(const auto attributes, ReadAttributes(text));
  NamePtr name(X509_NAME_new());
  // RFC 4514 section 2.1: the string starts with the last RDN of the sequence.
  for (const auto& [type, value] : std::views::reverse(attributes)) {
    const auto octets = AsBytes(value);
    if (!name || X509_NAME_add_entry_by_NID(name.get(), type->nid, type->string_type, octets.data(),
                                            static_cast<int>(octets.size()), -1, 0) != 1) {
      return Fail(Code::kInternal, "the name could not be made", "X509_NAME_add_entry_by_NID: " + TakeErrors());
    }
  }
  return name;
}

std::string CommonName(std::string_view text) {
  constexpr std::size_t kMost = 64;  // RFC 5280 appendix A.1, ub-common-name
  text = text.substr(0, kMost);
  std::string name = "CN=";
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool at_an_end = i == 0 || i + 1 == text.size();
    if (std::string_view(R"("+,;<>\=#)").contains(text[i]) || (text[i] == ' ' && at_an_end)) {
      name += '\\';
    }
    name += text[i];
  }
  return name;
}

}  // namespace assertion::x509
