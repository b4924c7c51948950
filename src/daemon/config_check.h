#pragma once

#include <string>

namespace assertion {

// Reads the configuration file and writes each error, and each warning, to standard error. The process's exit status.
int CheckConfig(const std::string& path);

}  // namespace assertion
