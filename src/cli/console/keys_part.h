#pragma once

#include <string>
#include <string_view>

#include "assertion/clock.h"
#include "assertion/v1/key_admin.pb.h"

namespace assertion::cli {

// All clients with their keys on a time line, and the links to change them. `span`: see WindowOf.
std::string KeysPart(const v1::ListKeysResponse& keys, std::string_view span, Time now);

}  // namespace assertion::cli
