#pragma once

#include <cstddef>
#include <string>

#include "assertion/error.h"

namespace assertion::x509 {

// Whether the name leads to a regular file; else kConfigInvalid says what it is. A FIFO would hold who opens it.
Status CheckRegularFile(const std::string& path);

// Reads a regular file, or the one that a symbolic link points to. Anything else (a FIFO, a device, a folder, a socket)
// and a file of more than `most` octets fail at once with kConfigInvalid, so that no read waits.
Result<std::string> ReadRegularFile(const std::string& path, std::size_t most);

}  // namespace assertion::x509
