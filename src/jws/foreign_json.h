#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

namespace assertion::jws {

// True when arrays and objects stand in each other more than ObjectText::kMaxDepth deep. Text that is no JSON may give
// either answer.
bool IsNestedTooDeeply(std::string_view json);

// True when it has more than 20,000 values: each takes up to 75 times the octets that it has as text. Text that is no
// JSON may give either answer.
bool HasTooManyValues(std::string_view json);

// Parses JSON that somebody else wrote. Discarded: it is not JSON, is nested too deeply, or has too many values.
// nlohmann's copies, comparisons and dump() recurse over a value, as our own code does, so the nesting of a foreign
// text must be bounded before there is a value.
template <typename Json = nlohmann::json>
Json ParseForeign(std::string_view text) {
  return IsNestedTooDeeply(text) || HasTooManyValues(text) ? Json(Json::value_t::discarded)
                                                           : Json::parse(text, nullptr, /*allow_exceptions=*/false);
}

}  // namespace assertion::jws
