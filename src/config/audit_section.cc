#include <chrono>
#include <cstdint>
#include <string>

#include "config/sections.h"

namespace assertion {
namespace {

void TakeAuditCount(Fields& section, const char* name, std::int64_t least, std::int64_t most, std::uint64_t& count) {
  if (const auto taken = section.TakeCount(name, least, most)) {
    count = static_cast<std::uint64_t>(*taken);
  }
}

}  // namespace

void ReadAudit(Fields& fields, Config& config) {
  constexpr std::int64_t kLeastRotation = 4096;
  constexpr std::int64_t kMostRotation = std::int64_t{4} << 30U;
  constexpr std::int64_t kMostLines = 1'000'000;
  constexpr std::int64_t kMostReserve = std::int64_t{1} << 40U;
  auto& audit = config.audit;
  audit.path = config.state_directory + "/audit.log";
  auto section = fields.TakeObject("audit");
  if (!section) {
    return;
  }
  audit.enabled = section->TakeBool("enabled", audit.enabled);
  audit.hsm = TakeHsmName(*section, config);
  if (const auto* path = section->TakeString("path", false); path != nullptr) {
    audit.path = *path;
    if (!path->starts_with('/') || path->ends_with('/') || path->find('\0') != std::string::npos) {
      section->Refuse("path", "must be an absolute path of a file");
    }
  }
  TakeAuditCount(*section, "rotate_octets", kLeastRotation, kMostRotation, audit.rotate_octets);
  TakeAuditCount(*section, "checkpoint_lines", 1, kMostLines, audit.checkpoint_lines);
  TakeAuditCount(*section, "reserve", 0, kMostReserve, audit.reserve);
  audit.checkpoint_interval =
      section->TakeDuration("checkpoint_interval", std::chrono::seconds(1), std::chrono::hours(1))
          .value_or(audit.checkpoint_interval);
  section->RefuseTheRest();
  if (!audit.enabled) {
    config.warnings.emplace_back("audit: is not enabled: nothing will show what was signed, or who asked for it");
  }
}

}  // namespace assertion
