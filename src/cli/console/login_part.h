#pragma once

#include <string>
#include <vector>

#include "oauth/form.h"

namespace assertion::cli {

// A form for a trial log-in and, once it is filled, the command to run. The log-in itself needs a listener of its own
// and waits for the person for minutes, so it is not made by the console.
std::string LoginPart(const oauth::FormFields& fields, const std::string& server);

// Words as one line for a POSIX shell.
std::string ShellLine(const std::vector<std::string>& words);

}  // namespace assertion::cli
