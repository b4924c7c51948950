#pragma once

#include <google/protobuf/struct.pb.h>

#include <nlohmann/json.hpp>

#include "assertion/error.h"

namespace assertion::service {

// The JSON object that a Struct stands for. Whole numbers up to 2^53 are written without a fraction; INVALID_ARGUMENT
// for NaN and the infinities, which JSON does not have, and for a value of no kind.
Result<nlohmann::json> ToJson(const google::protobuf::Struct& object);

}  // namespace assertion::service
