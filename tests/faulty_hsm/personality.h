#pragma once

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "traits.h"

namespace faulty_hsm {

// Reads the traits of the personality, a file of tests/faulty_hsm/personalities, that FAULTY_HSM_PERSONALITY names;
// none: no traits. hsm-config/write_vendors.py describes the file. What is not understood ends the process.
inline Traits ReadPersonality() {
  Traits traits;
  const char* path = std::getenv("FAULTY_HSM_PERSONALITY");
  if (path == nullptr) {
    return traits;
  }
  std::ifstream file(path);
  const auto personality = nlohmann::json::parse(file, nullptr, false);
  const auto refuse = [path](const std::string& what) {
    std::fprintf(stderr, "faulty_hsm: %s: %s is not understood\n", path, what.c_str());
    std::abort();
  };
  if (personality.is_discarded() || !personality.contains("facts")) {
    refuse("the file");
  }
  for (const auto& fact : personality["facts"]) {
    for (const auto& line : fact.value("traits", nlohmann::json::array())) {
      if (!traits.Add(line.get<std::string>())) {
        refuse("'" + line.get<std::string>() + "'");
      }
    }
  }
  return traits;
}

}  // namespace faulty_hsm
