#pragma once

#include <google/protobuf/struct.pb.h>

#include <nlohmann/json.hpp>
#include <string>

#include "assertion/error.h"

namespace assertion::service {

// The JSON object that a Struct stands for. Whole numbers are written without a fraction. INVALID_ARGUMENT for those of
// 2^53 or more in magnitude, which a double may hold with other digits than were meant, for NaN and the infinities,
// which JSON does not have, and for a value of no kind. `field`: the Struct's name in the request; the same claims as
// text are in the field `field`_json.
Result<nlohmann::json> ToJson(const google::protobuf::Struct& object, const std::string& field);

}  // namespace assertion::service
