#include "cli/oidc/redirect_query.h"

#include <algorithm>
#include <utility>

#include "assertion/percent_encoding.h"

namespace assertion::cli {

std::optional<oauth::FormFields> QueryOf(std::string_view query) {
  oauth::FormFields fields;
  while (!query.empty()) {
    const auto pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(pair.size() + 1, query.size()));
    const auto equals = std::min(pair.find('='), pair.size());
    auto name = FormDecoded(pair.substr(0, equals));
    auto value = FormDecoded(pair.substr(std::min(equals + 1, pair.size())));
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
