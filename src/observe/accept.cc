#include "observe/accept.h"

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <optional>

namespace assertion {
namespace {

std::string_view Trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t";
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  return text.substr(0, text.find_last_not_of(kBlanks) + 1);
}

// Removes and returns the text before the first `separator` that is in no quoted string (RFC 9110 section 5.6.4).
std::string_view TakeUntil(std::string_view& text, char separator) {
  bool quoted = false;
  std::size_t end = 0;
  for (; end < text.size() && (quoted || text[end] != separator); ++end) {
    if (text[end] == '"') {
      quoted = !quoted;
    } else if (quoted && text[end] == '\\') {
      ++end;
    }
  }
  const auto taken = Trimmed(text.substr(0, end));
  text.remove_prefix(std::min(end + 1, text.size()));
  return taken;
}

bool EqualsIgnoringCase(std::string_view text, std::string_view lower) {
  return std::ranges::equal(text, lower, [](char one, char other) {
    return std::tolower(static_cast<unsigned char>(one)) == static_cast<unsigned char>(other);
  });
}

// True: the weight is above 0 (RFC 9110 section 12.4.2). Nothing: it is no weight.
std::optional<bool> IsPositive(std::string_view weight) {
  constexpr std::size_t kLongest = 5;  // "0." and three digits
  const bool one = weight.starts_with('1');
  if ((!one && !weight.starts_with('0')) || weight.size() > kLongest || (weight.size() > 1 && weight[1] != '.')) {
    return std::nullopt;
  }
  const auto digits = weight.substr(std::min<std::size_t>(2, weight.size()));
  if (digits.find_first_not_of(one ? "0" : "0123456789") != std::string_view::npos) {
    return std::nullopt;
  }
  return one || digits.find_first_not_of('0') != std::string_view::npos;
}

}  // namespace

bool NamesMediaType(std::string_view accept, std::string_view media_type) {
  bool named = false;
  while (!accept.empty()) {
    auto range = TakeUntil(accept, ',');
    if (!EqualsIgnoringCase(TakeUntil(range, ';'), media_type)) {
      continue;
    }
    std::optional<bool> positive = true;
    while (!range.empty() && positive.value_or(false)) {
      const auto parameter = TakeUntil(range, ';');
      if (EqualsIgnoringCase(parameter.substr(0, 2), "q=")) {
        positive = IsPositive(parameter.substr(2));
      }
    }
    if (positive == false) {
      return false;
    }
    named = named || positive.has_value();
  }
  return named;
}

}  // namespace assertion
