// Traits of personalities that the contract suite does not test: the PIN's form, slots, and sessions that time out.

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "assertion/algorithm.h"
#include "faulty_hsm/faulty_hsm.h"
#include "places.h"

namespace assertion {
namespace {

class PersonalityTest : public testing::Test {
 protected:
  ~PersonalityTest() override {
    unsetenv("FAULTY_HSM_PERSONALITY");
    unsetenv("FAULTY_HSM_CONTROL");
  }

  // From the next C_Initialize on.
  static void Become(const std::string& name) {
    setenv("FAULTY_HSM_PERSONALITY", ProjectPath("tests/faulty_hsm/personalities/" + name + ".json").c_str(), 1);
  }

  // Logs in to the personality with this PIN.
  Result<std::unique_ptr<p11::HsmToken>> LogIn(const std::string& name, const std::string& pin) {
    Become(name);
    setenv("FAULTY_HSM_CONTROL", (hsm_.directory() / "faults").c_str(), 1);
    hsm_.AddToken("test");
    hsm_.Write("pin", pin + "\n");
    ASSIGN_OR_RETURN(module_, p11::Module::Load(FaultyHsm::Module()));
    ASSIGN_OR_RETURN(const auto token, module_->FindToken(*TokenUri::Parse(hsm_.UriText())));
    return p11::HsmToken::LogIn(module_, token, hsm_.pin_file(), hsm_.directory());
  }

  void Tell(const std::string& rules) const {
    const auto draft = hsm_.Write("faults.new", rules + "\n");
    std::filesystem::rename(draft, hsm_.directory() / "faults");
  }

  SoftHsm hsm_;
  std::shared_ptr<p11::Module> module_;
};

TEST_F(PersonalityTest, APinOfAnotherFormIsRefusedAsAWrongOne) {
  const auto token = LogIn("aws_cloudhsm", SoftHsm::kPin);
  ASSERT_FALSE(token);
  EXPECT_EQ(token.error().code, Code::kPinRefused);
}

TEST_F(PersonalityTest, AUserStandsBeforeThePin) {
  const auto token = LogIn("aws_cloudhsm", std::string("crypto_user:") + SoftHsm::kPin);
  ASSERT_TRUE(token) << token.error().ToString();
  EXPECT_TRUE((*token)->Check());
}

TEST_F(PersonalityTest, TheNumberOfAKeyStandsBeforeThePin) {
  const auto token = LogIn("yubihsm2", std::string("00aF") + SoftHsm::kPin);
  ASSERT_TRUE(token) << token.error().ToString();
  EXPECT_TRUE((*token)->Check());
}

TEST_F(PersonalityTest, ANumberThatIsNotHexadecimalIsRefused) {
  const auto token = LogIn("yubihsm2", std::string("00xx") + SoftHsm::kPin);
  ASSERT_FALSE(token);
  EXPECT_EQ(token.error().code, Code::kPinRefused);
}

TEST_F(PersonalityTest, TheTokenIsFoundBesideASlotWithoutLogin) {
  const auto token = LogIn("nshield", SoftHsm::kPin);
  ASSERT_TRUE(token) << token.error().ToString();
  EXPECT_EQ((*token)->info().label, "test");
  const auto other = module_->FindToken(*TokenUri::Parse("pkcs11:token=accelerator?module-path=/m&pin-source=file:/p"));
  EXPECT_TRUE(other) << "it is there, and not taken";
}

TEST_F(PersonalityTest, TheTokenIsFoundAgainInAnotherSlot) {
  const auto token = LogIn("luna7", SoftHsm::kPin);
  ASSERT_TRUE(token) << token.error().ToString();
  const auto before = (*token)->info().slot;
  ASSERT_TRUE((*token)->Reconnect(Reconnection::kReload));
  EXPECT_NE((*token)->info().slot, before);
  EXPECT_TRUE((*token)->Check());
}

// Google's kmsp11: such a key is of use without login, so it is none to us.
TEST_F(PersonalityTest, AKeyThatIsNotPrivateIsSeenAndNeverUsed) {
  const auto token = LogIn("nshield", SoftHsm::kPin);
  ASSERT_TRUE(token) << token.error().ToString();
  ASSERT_TRUE(
      (*token)->GenerateKeyPair({.label = "orders", .id = {1}, .algorithm = FindAlgorithm("ES256"), .bits = 0}));
  Become("google_kmsp11");
  ASSERT_TRUE((*token)->Reconnect(Reconnection::kReload));
  const auto contents = (*token)->Read({"orders"});
  ASSERT_TRUE(contents) << contents.error().ToString();
  EXPECT_TRUE(contents->keys.empty());
  EXPECT_EQ(contents->unguarded.size(), 1U);
}

// A new login does not help; the module must be ended, which is what a reload does.
TEST_F(PersonalityTest, SessionsThatHaveTimedOutComeBackByAReloadAlone) {
  const auto token = LogIn("yubihsm2", std::string("0001") + SoftHsm::kPin);
  ASSERT_TRUE(token) << token.error().ToString();
  const auto& algorithm = *FindAlgorithm("ES256");
  ASSERT_TRUE((*token)->GenerateKeyPair({.label = "orders", .id = {1}, .algorithm = &algorithm, .bits = 0}));
  const auto signs = [&] {
    const auto session = (*token)->OpenSigningSession();
    return session && (*session)->Sign({1}, algorithm, "input");
  };
  EXPECT_TRUE(signs());
  Tell("C_SignInit idle times=1");
  EXPECT_FALSE(signs());
  EXPECT_FALSE(signs()) << "though the rule has ended";
  const auto logged_in = (*token)->Reconnect(Reconnection::kLogIn);
  EXPECT_FALSE(logged_in && signs());
  ASSERT_TRUE((*token)->Reconnect(Reconnection::kReload));
  EXPECT_TRUE(signs());
}

}  // namespace
}  // namespace assertion
