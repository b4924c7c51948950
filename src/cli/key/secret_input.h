#pragma once

#include <cstddef>
#include <string>

#include "assertion/error.h"
#include "assertion/secret.h"

namespace assertion::cli {

// Reads a secret from a descriptor to its end. It must be a pipe or a socket: a file has left the secret on a disk, and
// a terminal in its scrollback. `what` names the secret in errors. kConfigInvalid: it is another kind of descriptor,
// empty, or longer than `most` octets.
Result<Secret> ReadSecret(int descriptor, std::size_t most, const std::string& what);

}  // namespace assertion::cli
