#include "config/text.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <vector>

#include "assertion/algorithm.h"
#include "assertion/foreign_text.h"
#include "assertion/preset.h"
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

std::string NearestProfile(std::string_view text) {
  constexpr std::size_t kLeastBeginning = 3;
  std::vector<std::string_view> names;
  std::ranges::transform(Presets(), std::back_inserter(names),
                         [](const Preset& one) -> std::string_view { return one.profile.name; });
  auto meant = DidYouMean(text, names);
  if (meant.empty() && text.size() >= kLeastBeginning) {
    const auto begins = [&](std::string_view name) { return name.starts_with(LowerCase(text)); };
    if (const auto found = std::ranges::find_if(names, begins); found != names.end()) {
      meant = "; did you mean \"" + std::string(*found) + "\"?";
    }
  }
  return meant.empty() ? "; for a server without one take \"wso2\": every field may differ from it" : meant;
}

}  // namespace assertion
