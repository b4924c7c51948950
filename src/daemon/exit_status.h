#pragma once

#include <string>

#include "assertion/error.h"

namespace assertion {

constexpr int kExitInternal = 1;
constexpr int kExitWrongCommandLine = 2;
constexpr int kExitHung = 24;  // too many calls into the HSM do not return

// The exit status that tells an operator and a supervisor what stopped assertiond; 1 for a code without one of its own.
int ExitStatus(Code code);

// The table of all exit statuses, a line each, for --help.
std::string ExitStatusHelp();

}  // namespace assertion
