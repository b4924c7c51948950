#include "cli/finding.h"

#include <algorithm>
#include <iterator>

#include "cli/text.h"

namespace assertion::cli {
namespace {

std::string FindingLine(const Finding& finding) {
  const bool names_key = finding.kid.empty() || finding.text.contains(finding.kid);
  return (!finding.ok     ? "wrong  "
          : finding.warns ? "warn   "
          : finding.said  ? "says   "
                          : "ok     ") +
         Printable((finding.name.empty() ? "" : finding.name + ": ") + (names_key ? "" : "key " + finding.kid + ": ") +
                   finding.text) +
         "\n";
}

}  // namespace

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
  std::vector<std::string> groups;  // in the order of their first finding
  for (const auto& finding : findings) {
    if (std::ranges::find(groups, finding.group) == groups.end()) {
      groups.push_back(finding.group);
    }
  }
  std::string text;
  for (const auto& group : groups) {
    std::string lines;
    for (const auto& finding : findings) {
      if (finding.group == group && (detail == Detail::kAll || !finding.ok || finding.warns)) {
        lines += FindingLine(finding);
      }
    }
    text += (group.empty() || lines.empty() ? "" : "\n" + Printable(group) + "\n") + lines;
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
    if (finding.said) {
      member["said"] = true;
    }
    if (!finding.group.empty()) {
      member["group"] = finding.group;
    }
    json["findings"].push_back(std::move(member));
  }
  return json;
}

}  // namespace assertion::cli
