#pragma once

#include <string>
#include <vector>

#include "assertion/error.h"
#include "assertion/v1/assertion.pb.h"

namespace CLI {
class App;
}

namespace assertion::cli {

// Flags that say what an assertion contains, and the request that they make.
struct AssertionFlags {
  std::string client_id;
  std::string audience;
  std::string lifetime;             // digits and s, m or h
  std::vector<std::string> claims;  // name=json
  std::string subject;
  std::string scope;
};

void AddAssertionFlags(CLI::App* verb, AssertionFlags& flags);

// Flags for assertions that are grants (RFC 7523 section 2.1) or bearer tokens.
void AddGrantFlags(CLI::App* verb, AssertionFlags& flags);

// INVALID_ARGUMENT names the flag that is wrong.
Result<v1::CreateAssertionRequest> AssertionRequestOf(const AssertionFlags& flags);

}  // namespace assertion::cli
