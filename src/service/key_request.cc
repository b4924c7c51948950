#include "service/key_request.h"

#include <optional>

namespace assertion::service {

using std::chrono::seconds;

Result<Time> InstantOf(const google::protobuf::Timestamp& timestamp, const char* field) {
  const Time time{seconds(timestamp.seconds())};
  if (timestamp.nanos() != 0 || timestamp.seconds() < 0 || time > kNever) {
    return Fail(Code::kInvalidArgument,
                std::string(field) + ": must be whole seconds from 1970-01-01T00:00:00Z to " + Rfc3339(kNever));
  }
  return time;
}

Result<Instants> InstantsOf(const v1::ScheduleKeyRequest& request) {
  Instants instants;
  const auto take = [](bool has, const google::protobuf::Timestamp& timestamp, const char* field,
                       std::optional<Time>& instant) -> Status {
    if (!has) {
      return {};
    }
    ASSIGN_OR_RETURN(const auto time, InstantOf(timestamp, field));
    instant = time;
    return {};
  };
  for (const auto& taken :
       {take(request.has_publish_from(), request.publish_from(), "publish_from", instants.publish_from),
        take(request.has_sign_from(), request.sign_from(), "sign_from", instants.sign_from),
        take(request.has_sign_until(), request.sign_until(), "sign_until", instants.sign_until),
        take(request.has_publish_until(), request.publish_until(), "publish_until", instants.publish_until)}) {
    if (!taken) {
      return std::unexpected(taken.error());
    }
  }
  if (!instants.publish_from && !instants.sign_from && !instants.sign_until && !instants.publish_until) {
    return Fail(Code::kInvalidArgument,
                "sign_from: give at least one of publish_from, sign_from, sign_until, publish_until");
  }
  return instants;
}

}  // namespace assertion::service
