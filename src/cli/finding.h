#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace assertion::cli {

// One result of a check.
struct Finding {
  std::string name;  // what it is about; may be empty
  bool ok;
  std::string text;  // what was found, or what is wrong and what to do
};

bool AllOk(const std::vector<Finding>& findings);

// One line per finding for a person: "ok     …" or "wrong  …".
std::string FindingsText(const std::vector<Finding>& findings);

// {"ok":…, "findings":[…]}
nlohmann::ordered_json FindingsJson(const std::vector<Finding>& findings);

}  // namespace assertion::cli
