#include "service/struct_json.h"

#include <cmath>
#include <cstdint>

namespace assertion::service {
namespace {

using google::protobuf::Value;

constexpr const char* kInexactNumber = "a whole number of 2^53 or more may have lost digits here; send the claims in ";
constexpr const char* kNoJson = "a value is not a JSON value (NaN, infinite, or of no kind)";

// Returns the error; null: success. Depth is bounded by Protobuf's parser.
const char* Convert(const Value& value, nlohmann::json& json);

const char* Convert(const google::protobuf::Struct& object, nlohmann::json& json) {
  json = nlohmann::json::object();
  for (const auto& [name, member] : object.fields()) {
    if (const auto* wrong = Convert(member, json[name]); wrong != nullptr) {
      return wrong;
    }
  }
  return nullptr;
}

const char* Convert(const google::protobuf::ListValue& list, nlohmann::json& json) {
  json = nlohmann::json::array();
  for (const auto& member : list.values()) {
    if (const auto* wrong = Convert(member, json.emplace_back()); wrong != nullptr) {
      return wrong;
    }
  }
  return nullptr;
}

const char* Convert(double number, nlohmann::json& json) {
  constexpr double kInexact = 9007199254740992;  // 2^53, which is what 2^53 + 1 becomes as well
  if (!std::isfinite(number)) {
    return kNoJson;
  }
  if (std::abs(number) >= kInexact) {
    return kInexactNumber;
  }
  if (std::trunc(number) == number) {
    json = static_cast<std::int64_t>(number);
  } else {
    json = number;
  }
  return nullptr;
}

const char* Convert(const Value& value, nlohmann::json& json) {
  switch (value.kind_case()) {
    case Value::kNullValue:
      json = nullptr;
      return nullptr;
    case Value::kBoolValue:
      json = value.bool_value();
      return nullptr;
    case Value::kNumberValue:
      return Convert(value.number_value(), json);
    case Value::kStringValue:
      json = value.string_value();
      return nullptr;
    case Value::kStructValue:
      return Convert(value.struct_value(), json);
    case Value::kListValue:
      return Convert(value.list_value(), json);
    case Value::KIND_NOT_SET:
      break;
  }
  return kNoJson;
}

}  // namespace

Result<nlohmann::json> ToJson(const google::protobuf::Struct& object, const std::string& field) {
  nlohmann::json json;
  if (const auto* wrong = Convert(object, json); wrong != nullptr) {
    return Fail(Code::kInvalidArgument,
                field + ": " + wrong + (wrong == kInexactNumber ? field + "_json, which keeps them" : ""));
  }
  return json;
}

}  // namespace assertion::service
