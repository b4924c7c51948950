#pragma once

#include <span>
#include <string>

#include "assertion/error.h"

namespace assertion::p11 {

// Reads a secret from a regular file that no other user may read, or from the inherited descriptor N when the path is
// "/dev/fd/N" (N from 3 on, for example a pipe; closed afterwards). Fills `into` at most and returns the octets read.
// `name` is used in messages. Errors: kPinUnreadable; kPinExposed when group or others may open the file, or its owner
// is neither this user nor root.
Result<std::size_t> ReadPrivateFile(const std::string& name, const std::string& path, std::span<unsigned char> into);

// Whether the file's mode lets others open it whoever runs this, so that ReadPrivateFile refuses it to every user.
// False for a file that this user cannot see, and for one with an access control list.
bool IsOpenToOthers(const std::string& path);

}  // namespace assertion::p11
