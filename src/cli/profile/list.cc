// assertionctl profile list

#include <algorithm>
#include <cstddef>
#include <string>

#include "assertion/preset.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/output.h"
#include "cli/profile/rules.h"
#include "cli/verbs.h"

namespace assertion::cli {
namespace {

struct ListProfilesOptions {
  bool json = false;
};

int ListProfiles(const ListProfilesOptions& options) {
  if (options.json) {
    nlohmann::ordered_json json = {{"profiles", nlohmann::ordered_json::array()}};
    for (const auto& preset : Presets()) {
      json["profiles"].push_back(PresetJson(preset));
    }
    return WriteJson(json);
  }
  std::size_t width = 0;
  for (const auto& preset : Presets()) {
    width = std::max(width, preset.profile.name.size() + 2);
  }
  std::string text;
  for (const auto& preset : Presets()) {
    auto name = preset.profile.name;
    name.resize(width, ' ');
    text.append(name).append(preset.title).append(1, '\n');
  }
  return Write("", text);
}

}  // namespace

void AddProfileList(Command& profile) {
  const auto [verb, options] = profile.AddVerb({.name = "list",
                                                .summary = "List the values of the configuration's clients[].profile",
                                                .examples = "  assertionctl profile list\n"
                                                            "  assertionctl profile list --json"},
                                               ListProfiles);
  AddJson(verb, options.json);
}

}  // namespace assertion::cli
