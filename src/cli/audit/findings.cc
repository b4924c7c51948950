#include "cli/audit/findings.h"

#include <array>
#include <string>

namespace assertion::cli {
namespace {

std::string Range(std::uint64_t first, std::uint64_t last) {
  return "sequences " + std::to_string(first) + " to " + std::to_string(last);
}

}  // namespace

const char* TamperingName(audit::Tampering kind) {
  static constexpr std::array kNames = {"changed",   "removed", "inserted",          "duplicated",
                                        "reordered", "cut",     "signed by another", "replaced"};
  return kNames.at(static_cast<std::size_t>(kind));
}

std::vector<Finding> FindingsOf(const audit::Verification& found, Unproven tail) {
  std::vector<Finding> findings;
  if (found.fault) {
    const auto& fault = *found.fault;
    findings.push_back({.name = TamperingName(fault.kind),
                        .ok = false,
                        .text = fault.file + ":" + std::to_string(fault.line) + ": " + fault.text});
  } else {
    findings.push_back({.name = "chain", .ok = true, .text = Range(found.first, found.last) + " follow each other"});
  }
  findings.push_back({.name = "proven",
                      .ok = found.proven != 0,
                      .text = found.proven == 0 ? "nothing: there is no checkpoint before that"
                                                : Range(found.first, found.proven) + ", by " +
                                                      std::to_string(found.checkpoints) + " checkpoints"});
  if (!found.fault && found.proven != 0 && found.proven < found.last) {
    findings.push_back({.name = "not yet proven",
                        .ok = tail == Unproven::kWarns,
                        .text = Range(found.proven + 1, found.last) +
                                ": no checkpoint covers these lines yet; anyone able to write the file can cut off, "
                                "change or invent lines there",
                        .warns = tail == Unproven::kWarns});
  }
  for (const auto& span : found.doubtful) {
    findings.push_back({.name = "doubtful",
                        .ok = true,
                        .text = Range(span.first, span.last) +
                                ": left by a process that ended before its checkpoint; anyone able to "
                                "write the file then could have written them",
                        .warns = true});
  }
  return findings;
}

}  // namespace assertion::cli
