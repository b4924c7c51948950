#include "cli/finding.h"

#include <algorithm>
#include <iterator>

#include "cli/text.h"

namespace assertion::cli {

bool AllOk(const std::vector<Finding>& findings) { return std::ranges::all_of(findings, &Finding::ok); }

std::string SummaryText(const std::vector<Finding>& findings) {
  const auto wrong = std::ranges::count(findings, false, &Finding::ok);
  const auto warnings =
      std::ranges::count_if(findings, [](const auto& finding) { return finding.ok && finding.warns; });
  const auto ok = std::ssize(findings) - wrong - warnings;
  return (wrong == 0 ? "" : std::to_string(wrong) + " wrong, ") +
         (warnings == 0 ? "" : std::to_string(warnings) + (warnings == 1 ? " warning, " : " warnings, ")) +
         std::to_string(ok) + " ok";
}

std::string FindingsText(const std::vector<Finding>& findings, Detail detail) {
  std::string text;
  for (const auto& finding : findings) {
    if (detail == Detail::kFaults && finding.ok && !finding.warns) {
      continue;
    }
    const bool names_key = finding.kid.empty() || finding.text.contains(finding.kid);
    text += (!finding.ok     ? "wrong  "
             : finding.warns ? "warn   "
                             : "ok     ") +
            Printable((finding.name.empty() ? "" : finding.name + ": ") +
                      (names_key ? "" : "key " + finding.kid + ": ") + finding.text) +
            "\n";
  }
  return text;
}

nlohmann::ordered_json FindingsJson(const std::vector<Finding>& findings) {
  nlohmann::ordered_json json = {{"ok", AllOk(findings)}, {"findings", nlohmann::ordered_json::array()}};
  for (const auto& finding : findings) {
    nlohmann::ordered_json member;
    if (!finding.name.empty()) {
      member["name"] = finding.name;
    }
    member["ok"] = finding.ok;
    member["text"] = finding.text;
    if (!finding.kid.empty()) {
      member["kid"] = finding.kid;
    }
    if (finding.ok && finding.warns) {
      member["warning"] = true;
    }
    json["findings"].push_back(std::move(member));
  }
  return json;
}

}  // namespace assertion::cli
