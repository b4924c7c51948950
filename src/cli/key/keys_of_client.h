#pragma once

#include <string>

#include "assertion/error.h"
#include "assertion/v1/key_admin.pb.h"

namespace assertion::cli {

// Leaves only the keys of the client, which the server does not do. NOT_FOUND: no such client is configured.
Status KeepClient(v1::ListKeysResponse& response, const std::string& client_id);

}  // namespace assertion::cli
