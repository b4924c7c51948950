#pragma once

#include <functional>
#include <string>

#include "cli/command.h"

namespace assertion::cli {

// The verbs of `assertionctl key` that ask and change nothing. Each returns its exit status.
int ListKeys(const Options& options);
int ShowKey(const Options& options);
int CreateCsr(const Options& options);

// Calls `ask` with the kid that was given, or with that of the key that signs now.
int WithKid(const Options& options, const std::function<int(const std::string&)>& ask);

}  // namespace assertion::cli
