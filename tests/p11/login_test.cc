#include "p11/login.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "p11/module.h"
#include "softhsm.h"
#include "two_tokens.h"

namespace assertion::p11 {
namespace {

class LogInTest : public testing::Test {
 protected:
  LogInTest() { hsm_.AddToken("test"); }

  Result<std::unique_ptr<Login>> LogIn(CK_FLAGS add_flags = 0) {
    module_.reset();  // as after a restart
    module_ = *Module::Load(SOFTHSM2_MODULE);
    auto info = *module_->FindToken(*TokenUri::Parse(hsm_.UriText()));
    info.flags |= add_flags;
    return Login::LogIn(module_, info, hsm_.pin_file(), hsm_.directory());
  }

  SoftHsm hsm_;
  std::shared_ptr<Module> module_;
};

TEST_F(LogInTest, AWrongPinIsRememberedUntilItsFileHoldsAnother) {
  hsm_.Write("pin", "0000000000");
  const auto first = LogIn();
  ASSERT_FALSE(first);
  EXPECT_EQ(first.error().code, Code::kPinRefused);
  EXPECT_EQ(first.error().ToString().find("0000000000"), std::string::npos);
  for (const auto* again : {"0000000000", "0000000000\n"}) {
    std::filesystem::remove(hsm_.pin_file());  // a mounted secret is written again at every start
    hsm_.Write("pin", again);
    const auto second = LogIn();
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Code::kPinRefused);
    EXPECT_NE(second.error().message.find("not tried again"), std::string::npos);
  }
  hsm_.Write("pin", SoftHsm::kPin);
  ASSERT_TRUE(LogIn());
  hsm_.Write("pin", "0000000000");  // a successful login in between does not forget it
  EXPECT_NE(LogIn().error().message.find("not tried again"), std::string::npos);
}

TEST_F(LogInTest, ARefusalNamesTheVariablesThatCouldBeTheReason) {
  hsm_.Write("pin", "0000000000");
  setenv("OPENSSL_CONF", "/dev/null", 1);
  const auto refused = LogIn();
  unsetenv("OPENSSL_CONF");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().detail.find("OPENSSL_CONF is set"), std::string::npos) << refused.error().ToString();
  EXPECT_EQ(refused.error().detail.find("OPENSSL_MODULES"), std::string::npos) << refused.error().ToString();
}

TEST_F(LogInTest, TheRecordOfARefusalIsPrivateAndDoesNotHoldThePin) {
  hsm_.Write("pin", "0000000000");
  ASSERT_FALSE(LogIn());
  int records = 0;
  for (const auto& entry : std::filesystem::directory_iterator(hsm_.directory())) {
    if (entry.path().filename().string().starts_with("pin-refused-")) {
      ++records;
      EXPECT_EQ(entry.status().permissions(), std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
      std::ifstream file(entry.path());
      const std::string text(std::istreambuf_iterator<char>(file), {});
      EXPECT_EQ(text.find("0000000000"), std::string::npos);
    }
  }
  EXPECT_EQ(records, 1);
}

TEST_F(LogInTest, ALoopThroughManyWrongPinsEnds) {
  for (int i = 0; i < 8; ++i) {
    hsm_.Write("pin", "000000000" + std::to_string(i));
    EXPECT_EQ(LogIn().error().message.find("before"), std::string::npos);
  }
  hsm_.Write("pin", SoftHsm::kPin);
  EXPECT_NE(LogIn().error().message.find("before"), std::string::npos);
}

TEST_F(LogInTest, WhoCannotRememberDoesNotTry) {
  module_ = *Module::Load(SOFTHSM2_MODULE);
  const auto info = *module_->FindToken(*TokenUri::Parse(hsm_.UriText()));
  const auto logged_in = Login::LogIn(module_, info, hsm_.pin_file(), hsm_.directory() / "absent");
  ASSERT_FALSE(logged_in);
  EXPECT_EQ(logged_in.error().code, Code::kConfigInvalid);
  EXPECT_EQ(logged_in.error().message.substr(0, 16), "state_directory:");
}

TEST_F(LogInTest, TheLastTryBeforeTheLockIsNotUsed) {
  const auto last = LogIn(CKF_USER_PIN_FINAL_TRY);
  ASSERT_FALSE(last);
  EXPECT_EQ(last.error().code, Code::kPinLocked);
  const auto locked = LogIn(CKF_USER_PIN_LOCKED);
  ASSERT_FALSE(locked);
  EXPECT_EQ(locked.error().code, Code::kPinLocked);
}

// What ends the sessions on one token of a module ends those on the others.
TEST(SharedModuleTest, AReloadForOneTokenIsFollowedByTheOther) {
  TwoTokens hsms;
  auto& west = hsms.west();
  const auto& algorithm = kAlgorithms.front();
  ASSERT_TRUE(west.GenerateKeyPair({.label = "orders", .id = {1}, .algorithm = &algorithm, .bits = 2048}));
  ASSERT_TRUE(hsms.east().Reconnect(Reconnection::kReload));
  EXPECT_TRUE(west.Check());
  ASSERT_TRUE(hsms.east().Reconnect(Reconnection::kReload));
  const auto contents = west.Read({"orders"});
  ASSERT_TRUE(contents) << contents.error().ToString();
  EXPECT_EQ(contents->keys.size(), 1U);
  ASSERT_TRUE(hsms.east().Reconnect(Reconnection::kReload));
  const auto session = west.OpenSigningSession();
  ASSERT_TRUE(session) << session.error().ToString();
  EXPECT_TRUE((*session)->Sign({1}, algorithm, "input"));
}

}  // namespace
}  // namespace assertion::p11
