#pragma once

#include <string>
#include <utility>

#include "assertion/signing_input.h"

namespace assertion {

// Makes a SigningInput of any text; only tests may.
class TestInput {
 public:
  static SigningInput Of(std::string text) { return SigningInput(std::move(text)); }
};

}  // namespace assertion
