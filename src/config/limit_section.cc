#include <cstddef>
#include <cstdint>

#include "config/sections.h"

namespace assertion {

void ReadKeyLimits(Fields& fields, Config& config) {
  auto section = fields.TakeObject("key_limits");
  if (!section) {
    return;
  }
  const auto take = [&section](const char* name, std::size_t& limit) {
    if (const auto count = section->TakeCount(name)) {
      limit = static_cast<std::size_t>(*count);
    }
  };
  take("per_client", config.key_limits.per_client);
  take("generations_per_hour", config.key_limits.generations_per_hour);
  take("client_generations_per_hour", config.key_limits.client_generations_per_hour);
  section->RefuseTheRest();
}

void ReadCallerRate(Fields& fields, Config& config) {
  auto section = fields.TakeObject("caller_rate");
  if (!section) {
    return;
  }
  const auto per_second = section->TakeCount("per_second", true).value_or(1);
  const auto burst = section->TakeCount("burst").value_or(per_second);
  config.caller_rate = {.per_second = per_second, .burst = burst};
  section->RefuseTheRest();
}

void ReadRefusals(Fields& fields, Config& config) {
  auto section = fields.TakeObject("refusals");
  if (!section) {
    return;
  }
  auto& rate = config.refusals;
  rate.per_second = section->TakeCount("per_second").value_or(rate.per_second);
  rate.burst = section->TakeCount("burst").value_or(rate.burst);
  section->RefuseTheRest();
}

}  // namespace assertion
