#include "cli/kid.h"

#include <gtest/gtest.h>

namespace assertion::cli {
namespace {

const std::vector<std::string> kKids = {"h3Mkk8qC3hMe", "h3Mkk8zzzzzz", "NzbLsXh8uDCc", "NzbLsXh8uDCc"};

TEST(Kid, IsCompletedWhenOneBeginsWithWhatWasTyped) {
  EXPECT_EQ(MatchKid(kKids, "h3Mkk8q"), "h3Mkk8qC3hMe");
  EXPECT_EQ(MatchKid(kKids, "NzbLsX"), "NzbLsXh8uDCc") << "listed once for each HSM";
  EXPECT_EQ(MatchKid(kKids, "h3Mkk8qC3hMe"), "h3Mkk8qC3hMe");
  EXPECT_EQ(MatchKid(kKids, "nothing-like-it"), "nothing-like-it") << "the server says that there is no such key";
  EXPECT_EQ(MatchKid({"abc", "abcdefgh"}, "abc"), "abc") << "a whole kid that begins another";
}

TEST(Kid, ThatSeveralBeginWithNamesThem) {
  const auto ambiguous = MatchKid(kKids, "h3Mkk8");
  ASSERT_FALSE(ambiguous);
  EXPECT_EQ(ambiguous.error().code, Code::kInvalidArgument);
  EXPECT_EQ(ambiguous.error().message,
            "--kid: several keys of this client begin with \"h3Mkk8\": h3Mkk8qC3hMe, h3Mkk8zzzzzz; type more of it");
}

TEST(Kid, OfFewerThanSixCharactersNamesNone) {
  const auto refused = MatchKid(kKids, "NzbLs");
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().message.contains("at least the first 6 characters")) << refused.error().message;
}

}  // namespace
}  // namespace assertion::cli
