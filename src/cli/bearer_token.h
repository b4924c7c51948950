#pragma once

#include <string>

#include "assertion/error.h"

namespace assertion::cli {

// Reads an access token (RFC 6750) from a file that no other user may read. Errors are those of p11::ReadPrivateFile;
// no message ever holds the token.
Result<std::string> ReadBearerToken(const std::string& path);

// Reads an access token from an open descriptor, up to its end.
Result<std::string> ReadBearerToken(int descriptor);

}  // namespace assertion::cli
