#pragma once

#include <string>
#include <vector>

#include "assertion/error.h"
#include "oauth/form.h"

namespace assertion::cli {

// Reads the values of --param, each NAME=VALUE. INVALID_ARGUMENT for a name that another flag or assertiond sets, that
// holds a secret, that breaks RFC 6749 section 8.2 or is repeated (section 3.2), and for an empty value.
Result<oauth::FormFields> ParametersOf(const std::vector<std::string>& flags);

}  // namespace assertion::cli
