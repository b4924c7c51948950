#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace assertion {

// The result of one way to take a key out of the token, or to use it for something else than signing.
enum class WayOutcome {
  kHeld,              // refused, or nothing came of it
  kFlagNotProtected,  // the token took a change, or a use, that the attributes forbid; the key stayed inside
  kLetThrough,        // the key came out, or can come out
  kNotTried,          // the token's answer does not tell
};

struct TriedWay {
  std::string name;  // for example "C_CopyObject CKA_EXTRACTABLE=true"
  WayOutcome outcome;
  std::string answer;  // the token's, for example "CKR_KEY_UNEXTRACTABLE (0x6a)"
};

// Result of a trial of the token's custody on a throw-away key: attributes are claims, and not every token enforces
// what it shows.
struct CustodyTrial {
  std::vector<TriedWay> ways;
  std::string left_behind;  // why the throw-away key may still be on the token; empty: it was destroyed

  bool held() const { return std::ranges::find(ways, WayOutcome::kLetThrough, &TriedWay::outcome) == ways.end(); }

  // The names of the ways with this outcome, separated by commas.
  std::string Names(WayOutcome outcome) const {
    std::string names;
    for (const auto& way : ways) {
      if (way.outcome == outcome) {
        names += (names.empty() ? "" : ", ") + way.name;
      }
    }
    return names;
  }
};

// As evidence writes it, for example "let through".
constexpr std::string_view OutcomeName(WayOutcome outcome) {
  switch (outcome) {
    case WayOutcome::kHeld:
      return "held";
    case WayOutcome::kFlagNotProtected:
      return "flag not protected";
    case WayOutcome::kLetThrough:
      return "let through";
    case WayOutcome::kNotTried:
      break;
  }
  return "could not be tried";
}

}  // namespace assertion
