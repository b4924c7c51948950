#include "cli/finding.h"

#include <algorithm>

#include "cli/text.h"

namespace assertion::cli {

bool AllOk(const std::vector<Finding>& findings) { return std::ranges::all_of(findings, &Finding::ok); }

std::string FindingsText(const std::vector<Finding>& findings) {
  std::string text;
  for (const auto& finding : findings) {
    text += (finding.ok ? "ok     " : "wrong  ") +
            Printable(finding.name.empty() ? finding.text : finding.name + ": " + finding.text) + "\n";
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
    json["findings"].push_back(std::move(member));
  }
  return json;
}

}  // namespace assertion::cli
