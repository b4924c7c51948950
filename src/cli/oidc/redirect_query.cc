#include "cli/oidc/redirect_query.h"

#include <algorithm>
#include <utility>

#include "assertion/bytes.h"

namespace assertion::cli {
namespace {

std::optional<std::string> PercentDecoded(std::string_view text) {
  std::string decoded;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '%') {
      decoded += text[at] == '+' ? ' ' : text[at];
      continue;
    }
    const auto octet = ParseHex(text.substr(at + 1, 2));
    if (!octet || octet->size() != 1) {
      return std::nullopt;
    }
    decoded += static_cast<char>(octet->front());
    at += 2;
  }
  return decoded;
}

}  // namespace

std::optional<oauth::FormFields> QueryOf(std::string_view query) {
  oauth::FormFields fields;
  while (!query.empty()) {
    const auto pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(pair.size() + 1, query.size()));
    const auto equals = std::min(pair.find('='), pair.size());
    auto name = PercentDecoded(pair.substr(0, equals));
    auto value = PercentDecoded(pair.substr(std::min(equals + 1, pair.size())));
    if (!name || !value || std::ranges::find(fields, *name, &oauth::FormFields::value_type::first) != fields.end()) {
      return std::nullopt;
    }
    fields.emplace_back(*std::move(name), *std::move(value));
  }
  return fields;
}

std::string FieldOf(const oauth::FormFields& fields, std::string_view name) {
  const auto found = std::ranges::find(fields, name, &oauth::FormFields::value_type::first);
  return found == fields.end() ? "" : found->second;
}

}  // namespace assertion::cli
