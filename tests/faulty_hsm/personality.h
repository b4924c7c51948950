#pragma once

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "traits.h"

namespace faulty_hsm {

// Reads the traits of a personality, a file of tests/faulty_hsm/personalities that hsm-config/write_vendors.py
// describes. Without a path there are none. A line that is not understood ends the process.
inline Traits ReadPersonality(const std::string& path) {
  Traits traits;
  if (path.empty()) {
    return traits;
  }
  std::ifstream file(path);
  const auto personality = nlohmann::json::parse(file, nullptr, false);
  const auto refuse = [&path](const std::string& what) {
    std::fprintf(stderr, "faulty_hsm: %s: %s is not understood\n", path.c_str(), what.c_str());
    std::abort();
  };
  if (personality.is_discarded() || !personality.contains("facts")) {
    refuse("the file");
  }
  const auto add = [&](const nlohmann::json& lines) {
    for (const auto& line : lines) {
      if (!traits.Add(line.get<std::string>())) {
        refuse("'" + line.get<std::string>() + "'");
      }
    }
  };
  for (const auto& fact : personality["facts"]) {
    add(fact.value("traits", nlohmann::json::array()));
  }
  add(personality.value("assumed", nlohmann::json::array()));
  return traits;
}

}  // namespace faulty_hsm
