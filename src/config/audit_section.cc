#include <chrono>
#include <cstdint>
#include <string>

#include "config/sections.h"

namespace assertion {
namespace {

void TakeAuditCount(Fields& section, const char* name, std::uint64_t& count) {
  if (const auto taken = section.TakeCount(name)) {
    count = static_cast<std::uint64_t>(*taken);
  }
}

}  // namespace

void ReadAudit(Fields& fields, Config& config) {
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
  TakeAuditCount(*section, "rotate_octets", audit.rotate_octets);
  TakeAuditCount(*section, "checkpoint_lines", audit.checkpoint_lines);
  TakeAuditCount(*section, "reserve", audit.reserve);
  audit.checkpoint_interval = section->TakeDuration("checkpoint_interval").value_or(audit.checkpoint_interval);
  section->RefuseTheRest();
  if (!audit.enabled) {
    config.warnings.emplace_back("audit: is not enabled: nothing will show what was signed, or who asked for it");
  }
}

}  // namespace assertion
