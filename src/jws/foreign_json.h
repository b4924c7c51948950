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

// True when it holds an octet NUL, which JSON has neither in strings nor between them (RFC 8259 sections 2 and 7).
// nlohmann's parser takes one for the end of the text and ignores what follows, which another reader would not.
inline bool HasNul(std::string_view text) { return text.contains('\0'); }

// Parses JSON that somebody else wrote. Discarded: it is not JSON, is nested too deeply, or has too many values.
// nlohmann's copies, comparisons and dump() recurse over a value, as our own code does, so the nesting of a foreign
// text must be bounded before there is a value.
template <typename Json = nlohmann::json>
Json ParseForeign(std::string_view text) {
  return HasNul(text) || IsNestedTooDeeply(text) || HasTooManyValues(text)
             ? Json(Json::value_t::discarded)
             : Json::parse(text, nullptr, /*allow_exceptions=*/false);
}

}  // namespace assertion::jws
