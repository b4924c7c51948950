#pragma once

#include <cstddef>
#include <string>

#include "assertion/error.h"

namespace assertion {

// The octets of a regular file, or of the one that a symbolic link leads to. Anything else (a FIFO, a device, a folder,
// a socket) and a file of more than `most` octets are errors at once, which say so: none is waited for.
// kConfigInvalid.
Result<std::string> ReadRegularFile(const std::string& path, std::size_t most);

}  // namespace assertion
