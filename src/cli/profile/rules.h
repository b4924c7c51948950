#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "assertion/preset.h"

namespace assertion::cli {

// The preset for programs: its names are those of the configuration.
nlohmann::ordered_json PresetJson(const Preset& preset);

// The preset for a person: what the party asks for, what an assertion holds, what may differ, and the source.
std::string PresetText(const Preset& preset);

}  // namespace assertion::cli
