#pragma once

#include <expected>
#include <string>
#include <vector>

#include "config/config.h"

namespace assertion {

// ReadConfig, with a warning of each tokens.ca_file with which no access token can be bought. (A purchase reads it
// again: it may still come.)
std::expected<Config, std::vector<std::string>> ReadConfigAndAuthorities(const std::string& path);

// Reads the configuration file and writes each error, and each warning, to standard error. The process's exit status.
int CheckConfig(const std::string& path);

}  // namespace assertion
