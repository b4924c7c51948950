// Every preset against its party's published rules: tests/vectors/profiles.json has for each a client, the octets of
// its assertion, the rules, and assertions that differ by one thing and must be refused.

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <string>

#include "assertion/preset.h"
#include "config/config.h"
#include "places.h"
#include "policy/profiled_assertion.h"

namespace assertion {
namespace {

using nlohmann::json;

constexpr std::int64_t kNow = 1'700'000'000;

const json& Vectors() {
  static const json vectors = [] {
    auto file = ProjectFile("tests/vectors/profiles.json");
    return json::parse(file);
  }();
  return vectors;
}

// `wanted`: the values that are taken, in which null is the absent member; "absent"; or {"matches": regex}.
bool Takes(const json& wanted, const json& value) {
  if (wanted == "absent") {
    return value.is_null();
  }
  if (wanted.is_object()) {
    return value.is_string() &&
           std::regex_search(value.get<std::string>(), std::regex(wanted["matches"].get<std::string>()));
  }
  return std::ranges::find(wanted, value) != wanted.end();
}

// The name of the rule that refuses the assertion; empty: it is accepted.
std::string RefusedBy(const json& rules, const json& assertion) {
  for (const auto* part : {"header", "claims"}) {
    for (const auto& [name, wanted] : rules[part].items()) {
      if (!Takes(wanted, assertion[part].value(name, json()))) {
        return std::string(part) + "." + name;
      }
    }
  }
  const auto& claims = assertion["claims"];
  const auto at = [&](const char* name) { return claims.value(name, std::int64_t{0}); };
  if (at("iat") > kNow || at("nbf") > kNow) {
    return "not yet valid";
  }
  if (at("exp") <= kNow) {
    return "expired";
  }
  if (at("exp") - at("iat") > rules.value("lifetime", std::int64_t{1} << 40)) {
    return "lifetime";
  }
  return at("exp") - kNow > rules.value("ahead", std::int64_t{1} << 40) ? "ahead" : "";
}

std::expected<Config, std::vector<std::string>> ConfigOf(json client) {
  client["callers"] = {"uid:1"};
  return ParseConfig(json({{"hsm", "pkcs11:token=t?module-path=/m.so&pin-source=file:/p"},
                           {"listen", "unix:/s"},
                           {"clients", {client}}})
                         .dump(),
                     "/state");
}

class PresetTest : public testing::TestWithParam<std::size_t> {
 protected:
  const json& Vector() const { return Vectors()[GetParam()]; }

  json ClientFields() const {
    auto client = Vector()["client"];
    client["profile"] = Vector()["profile"];
    return client;
  }
};

TEST_P(PresetTest, AssertionsHaveTheseOctets) {
  const auto config = ConfigOf(ClientFields());
  ASSERT_TRUE(config) << config.error().front();
  EXPECT_TRUE(config->warnings.empty()) << config->warnings.front();
  const auto& client = config->clients.front();
  const auto request = Vector().value("request", json::object());
  const auto subject = request.value("subject", "");
  const auto made =
      ProfiledAssertion(client, {.client_id = client.client_id, .audience = {}, .lifetime = {}, .subject = subject});
  ASSERT_TRUE(made) << made.error().message;
  auto file = ProjectFile("tests/vectors/profiles.json");
  const auto written = nlohmann::ordered_json::parse(file)[GetParam()];  // the order of members counts
  EXPECT_EQ(made->header, written["header"].dump());
  EXPECT_EQ(made->claims, written["claims"].dump());
}

TEST_P(PresetTest, ThePartyAcceptsThemAndRefusesEachNearMiss) {
  const auto& rules = Vector()["accepts"];
  const json good = {{"header", Vector()["header"]}, {"claims", Vector()["claims"]}};
  EXPECT_EQ(RefusedBy(rules, good), "");
  std::set<std::string> used;
  for (const auto& difference : Vector()["near_misses"]) {
    auto near_miss = good;
    near_miss.merge_patch(difference);
    const auto refused_by = RefusedBy(rules, near_miss);
    EXPECT_NE(refused_by, "") << difference;
    used.insert(refused_by);
  }
  for (const auto* part : {"header", "claims"}) {
    for (const auto& [name, wanted] : rules[part].items()) {
      EXPECT_TRUE(used.contains(std::string(part) + "." + name)) << "no near miss for " << part << "." << name;
    }
  }
}

TEST_P(PresetTest, TheKeyMustHaveWhatTheHeaderShows) {
  const auto config = ConfigOf(ClientFields());
  ASSERT_TRUE(config);
  const auto& client = config->clients.front();
  const auto subject = Vector().value("request", json::object()).value("subject", "");
  const auto made = ProfiledAssertion(
      client, {.client_id = client.client_id, .audience = {}, .lifetime = {}, .subject = subject}, /*certified=*/false);
  const auto& header = Vector()["header"];
  if (header.contains("x5t") || header.contains("x5t#S256") || header.contains("x5c")) {
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, Code::kFailedPrecondition);
    EXPECT_TRUE(made.error().message.contains("no certificate")) << made.error().message;
  } else {
    EXPECT_TRUE(made) << made.error().message;
  }
}

INSTANTIATE_TEST_SUITE_P(Party, PresetTest, testing::Range(std::size_t{0}, Vectors().size()),
                         [](const testing::TestParamInfo<std::size_t>& party) {
                           auto name = Vectors()[party.param]["profile"].get<std::string>();
                           std::erase_if(name, [](char c) { return c == '-' || c == '.'; });
                           return name;
                         });

TEST(PresetsTest, EachHasVectorsAndASource) {
  std::set<std::string> with_vectors;
  for (const auto& vector : Vectors()) {
    with_vectors.insert(vector["profile"]);
  }
  EXPECT_EQ(with_vectors.size(), Presets().size());
  for (const auto& preset : Presets()) {
    const auto& name = preset.profile.name;
    EXPECT_TRUE(with_vectors.contains(name)) << name;
    EXPECT_FALSE(preset.title.empty()) << name;
    EXPECT_FALSE(preset.rules.empty()) << name;
    EXPECT_FALSE(preset.source.document.empty() || preset.source.section.empty() || preset.source.date.empty()) << name;
    EXPECT_TRUE(preset.source.url.starts_with("https://")) << name;
    for (const auto algorithm : preset.algorithms) {
      EXPECT_NE(FindAlgorithm(algorithm), nullptr) << name << ": " << algorithm;
    }
  }
  EXPECT_EQ(Presets().front().profile, Profile()) << "the default is the first";
}

// deploy/docs/profiles.md has one row for each preset; it is written by hand and compared here.
TEST(PresetsTest, TheirPageHasTheirRows) {
  auto file = ProjectFile("deploy/docs/profiles.md");
  std::map<std::string, std::string> rows;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("| `")) {
      rows[line.substr(3, line.find('`', 3) - 3)] = line;
    }
  }
  for (const auto& preset : Presets()) {
    const auto row = "| `" + preset.profile.name + "` | " + std::string(preset.title) + " | " +
                     std::string(preset.rules) + " | [" + std::string(preset.source.document) + "](" +
                     std::string(preset.source.url) + "), " + std::string(preset.source.section) + "; " +
                     std::string(preset.source.date) + " |";
    EXPECT_EQ(rows[preset.profile.name], row);
    rows.erase(preset.profile.name);
  }
  EXPECT_TRUE(rows.empty()) << "no preset: " << rows.begin()->first;
}

}  // namespace
}  // namespace assertion
