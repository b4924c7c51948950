// Commands that an operator pastes hold words of the server: a hostile one must not have them run.
#include <gtest/gtest.h>

#include <string>

#include "cli/key/examined_key.h"
#include "cli/key/key_text.h"
#include "cli/key/pending_change.h"

namespace assertion::cli {
namespace {

constexpr const char* kLure = "$(touch lured); `x`\n";
constexpr const char* kQuoted = "'$(touch lured); `x`?'";

TEST(PastedCommands, TheOneThatApprovesIsQuotedForAShell) {
  v1::PendingChange change;
  change.set_id(kLure);
  change.set_digest(kLure);
  const auto text = PendingText(change);
  EXPECT_TRUE(text.ends_with("assertionctl key approve " + std::string(kQuoted) + " --digest=" + kQuoted + "\n"))
      << text;
  change.set_id("5f0c");
  change.set_digest("q8Zt_-");
  EXPECT_TRUE(PendingText(change).ends_with("assertionctl key approve 5f0c --digest=q8Zt_-\n"));
}

TEST(PastedCommands, TheOneThatAdoptsIsQuotedForAShell) {
  v1::ExamineKeyResponse key;
  key.set_kid(kLure);
  const auto text = ExaminedKeyText(key, kLure);
  EXPECT_TRUE(text.ends_with("assertionctl key adopt --client-id " + std::string(kQuoted) +
                             " --cka-id '' --kid=" + kQuoted + "\n"))
      << text;
}

TEST(PastedCommands, TheFlagsThatNameAKeyAreQuotedForAShell) {
  EXPECT_EQ(KeyFlags(kLure, kLure), "--client-id " + std::string(kQuoted) + " --kid=" + kQuoted);
  EXPECT_EQ(KeyFlags("orders", "-x_Y"), "--client-id orders --kid=-x_Y");
}

}  // namespace
}  // namespace assertion::cli
