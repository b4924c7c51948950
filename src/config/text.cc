#include "config/text.h"

#include <algorithm>
#include <array>

#include "assertion/algorithm.h"
#include "assertion/foreign_text.h"
#include "assertion/utf8.h"
#include "config/invisible.h"

namespace assertion {
std::optional<std::string> FindInvisible(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const auto length = OctetsOfCharacter(text.substr(at));
    const auto character = text.substr(at, length == 0 ? 1 : length);
    const auto point = length == 0 ? U'\0' : CodePointOf(character);
    if (IsHidden(point) || IsBlank(point)) {
      return Shown(character, character.size(), " ") + " at octet " + std::to_string(at + 1);
    }
    at += character.size();
  }
  return std::nullopt;
}

std::string NearestAlgorithm(std::string_view text) {
  std::array<std::string_view, kAlgorithms.size()> names;
  std::ranges::transform(kAlgorithms, names.begin(), &Algorithm::name);
  return DidYouMean(text, names);
}

}  // namespace assertion
