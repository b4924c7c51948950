#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace assertion::cli {

// One result of a check.
struct Finding {
  std::string name;  // what it is about; may be empty
  bool ok;
  std::string text;  // what was found, or what is wrong and what to do
  // The initializers are for findings that name none.
  std::string kid = {};    // NOLINT(readability-redundant-member-init): the key that it is about
  bool warns = false;      // ok, and worth a look
  std::string group = {};  // NOLINT(readability-redundant-member-init): the heading that it stands under
  bool said = false;       // ok if what was examined tells the truth, which nothing here proves
};

enum class Detail : std::uint8_t { kFaults, kAll };  // warnings count as faults here

bool AllOk(const std::vector<Finding>& findings);

// "2 wrong, 1 warning, 24 ok"
std::string SummaryText(const std::vector<Finding>& findings);

// One line per finding for a person: "ok     …", "says   …", "warn   …" or "wrong  …". Findings of a group stand
// together under its heading, which is left out when none of them is shown. Each line names what it is about, so that
// grep finds whole answers.
std::string FindingsText(const std::vector<Finding>& findings, Detail detail = Detail::kAll);

// {"ok":…, "findings":[…]}
nlohmann::ordered_json FindingsJson(const std::vector<Finding>& findings);

}  // namespace assertion::cli
