// assertionctl profile show

#include <CLI/CLI.hpp>
#include <string>

#include "assertion/preset.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/output.h"
#include "cli/profile/rules.h"
#include "cli/verbs.h"
#include "config/text.h"

namespace assertion::cli {
namespace {

struct ShowProfileOptions {
  std::string name;
  bool json = false;
};

int ShowProfile(const ShowProfileOptions& options) {
  const auto* const preset = FindPreset(options.name);
  if (preset == nullptr) {
    return Report(kUsage, "there is no profile \"" + options.name + "\"" + NearestProfile(options.name),
                  "list them with: assertionctl profile list");
  }
  return options.json ? WriteJson(PresetJson(*preset)) : Write("", PresetText(*preset));
}

}  // namespace

void AddProfileShow(Command& profile) {
  const auto [verb, options] =
      profile.AddVerb({.name = "show",
                       .summary = "Show what a profile's party asks for, what assertions hold, which fields of a "
                                  "client may differ, and the source",
                       .examples = "  assertionctl profile show entra-id\n"
                                   "  assertionctl profile show snowflake --json",
                       .statuses = {{kUsage, "wrong command line, or no such profile"}}},
                      ShowProfile);
  verb->add_option("name", options.name, "The profile's name")->required()->type_name("NAME");
  AddJson(verb, options.json);
}

}  // namespace assertion::cli
