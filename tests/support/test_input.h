#pragma once

#include <string>
#include <utility>

#include "assertion/signing_input.h"

namespace assertion {

// Any text, as a key signs it.
class TestInput {
 public:
  static SigningInput Of(std::string text) { return SigningInput(std::move(text)); }
};

}  // namespace assertion
