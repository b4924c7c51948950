#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "assertion/preset.h"
#include "cli/profile/rules.h"

namespace assertion::cli {
namespace {

TEST(ProfileRules, TheTextHasRulesValuesAndSource) {
  const auto text = PresetText(*FindPreset("snowflake"));
  for (const auto* const part :
       {"name              snowflake\n", "issuer            {client_id}.SHA256:{fingerprint:SHA256}\n",
        "aud               none\n", "algorithms        RS256\n", "may_differ        backdate\n",
        "grant             bearer-token\n", "Using key-pair authentication"}) {
    EXPECT_TRUE(text.contains(part)) << part << "\nin\n" << text;
  }
}

TEST(ProfileRules, EveryPresetIsShown) {
  for (const auto& preset : Presets()) {
    const auto json = PresetJson(preset);
    EXPECT_EQ(json["name"], preset.profile.name);
    EXPECT_FALSE(json["source"]["url"].get<std::string>().empty());
    EXPECT_TRUE(PresetText(preset).contains(preset.rules));
  }
}

}  // namespace
}  // namespace assertion::cli
