#pragma once

#include <span>
#include <string>

#include "assertion/error.h"

namespace assertion::p11 {

// Reads a regular file that no other user may read, or what the descriptor N of "/dev/fd/N" gives (from 3 on; a pipe
// that whoever started this process holds open, closed afterwards), as much of it as `into` holds; returns how much
// that is. `name` is what messages call it. Errors: kPinUnreadable; kPinExposed when its mode has any bit for group or
// others, or its owner is neither this user nor root.
Result<std::size_t> ReadPrivateFile(const std::string& name, const std::string& path, std::span<unsigned char> into);

}  // namespace assertion::p11
