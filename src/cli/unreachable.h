#pragma once

#include <string>

namespace assertion::cli {

// Says why connect() to the Unix socket at `path` failed with `error`, an errno, and who may connect.
std::string WhyUnreachable(int error, const std::string& path);

}  // namespace assertion::cli
