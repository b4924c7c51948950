#pragma once

#include "assertion/error.h"
#include "assertion/v1/assertion.pb.h"
#include "cli/command.h"

namespace assertion::cli {

// The options that say what an assertion is to contain, and the request that they make.
void AddAssertionOptions(CLI::App* verb, Options& options);
Result<v1::CreateAssertionRequest> AssertionRequestOf(const Options& options);

}  // namespace assertion::cli
