#include "service/struct_json.h"

#include <cmath>
#include <cstdint>

namespace assertion::service {
namespace {

using google::protobuf::Value;

// False: a number or a kind that JSON does not have. Depth is bounded by Protobuf's parser.
bool Convert(const Value& value, nlohmann::json& json);

bool Convert(const google::protobuf::Struct& object, nlohmann::json& json) {
  json = nlohmann::json::object();
  for (const auto& [name, member] : object.fields()) {
    if (!Convert(member, json[name])) {
      return false;
    }
  }
  return true;
}

bool Convert(const google::protobuf::ListValue& list, nlohmann::json& json) {
  json = nlohmann::json::array();
  for (const auto& member : list.values()) {
    if (!Convert(member, json.emplace_back())) {
      return false;
    }
  }
  return true;
}

bool Convert(double number, nlohmann::json& json) {
  constexpr double kExact = 9007199254740992;  // 2^53
  if (!std::isfinite(number)) {
    return false;
  }
  if (std::trunc(number) == number && std::abs(number) <= kExact) {
    json = static_cast<std::int64_t>(number);
  } else {
    json = number;
  }
  return true;
}

bool Convert(const Value& value, nlohmann::json& json) {
  switch (value.kind_case()) {
    case Value::kNullValue:
      json = nullptr;
      return true;
    case Value::kBoolValue:
      json = value.bool_value();
      return true;
    case Value::kNumberValue:
      return Convert(value.number_value(), json);
    case Value::kStringValue:
      json = value.string_value();
      return true;
    case Value::kStructValue:
      return Convert(value.struct_value(), json);
    case Value::kListValue:
      return Convert(value.list_value(), json);
    case Value::KIND_NOT_SET:
      break;
  }
  return false;
}

}  // namespace

Result<nlohmann::json> ToJson(const google::protobuf::Struct& object) {
  nlohmann::json json;
  if (!Convert(object, json)) {
    return Fail(Code::kInvalidArgument, "extra_claims: a value is not a JSON value (NaN, infinite, or of no kind)");
  }
  return json;
}

}  // namespace assertion::service
