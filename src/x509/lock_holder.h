#pragma once

#include <string>

namespace assertion::x509 {

// Who holds the flock(2) on this open file, for a message: "assertiond with the pid 4711". "another process" where the
// kernel does not say, as for a holder in another container.
std::string HolderOfLock(int file);

}  // namespace assertion::x509
