#include "p11/custody_trial.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "assertion/client.h"
#include "faulty_hsm/faulty_hsm.h"

namespace assertion::p11 {
namespace {

class CustodyTrialTest : public testing::Test {
 protected:
  static Result<TokenKey> Generate(HsmToken& token, std::uint8_t id, const char* algorithm = "RS256") {
    return token.GenerateKeyPair({.label = "orders", .id = {id}, .algorithm = FindAlgorithm(algorithm), .bits = 2048});
  }

  std::unique_ptr<HsmToken> TokenThatAccepts(AttributeNames accepted) {
    auto token = HsmToken::LogIn(hsm_.module_pointer(), hsm_.token().info(), hsm_.pin_file(), hsm_.directory().string(),
                                 {}, std::move(accepted));
    EXPECT_TRUE(token) << token.error().ToString();
    return std::move(*token);
  }

  CustodyTrial Try(const char* algorithm = "RS256") {
    const auto trial = hsm_.token().TryCustody(*FindAlgorithm(algorithm));
    EXPECT_TRUE(trial) << trial.error().ToString();
    return *trial;
  }

  static WayOutcome OutcomeOf(const CustodyTrial& trial, std::string_view name) {
    const auto way = std::ranges::find(trial.ways, name, &TriedWay::name);
    EXPECT_NE(way, trial.ways.end()) << name;
    return way == trial.ways.end() ? WayOutcome::kNotTried : way->outcome;
  }

  static std::string AnswerOf(const CustodyTrial& trial, std::string_view name) {
    const auto way = std::ranges::find(trial.ways, name, &TriedWay::name);
    return way == trial.ways.end() ? "" : way->answer;
  }

  // The objects on the token, in whatever state.
  std::size_t Objects() { return hsm_.ObjectFiles().size(); }

  FaultyHsm hsm_;
};

TEST_F(CustodyTrialTest, SoftHsm2HoldsEveryWayForEachTypeOfKey) {
  for (const auto* algorithm : {"RS256", "ES256", "EdDSA"}) {
    const auto trial = Try(algorithm);
    EXPECT_FALSE(trial.ways.empty());
    for (const auto& way : trial.ways) {
      EXPECT_EQ(way.outcome, WayOutcome::kHeld) << algorithm << ": " << way.name << ": " << way.answer;
    }
    EXPECT_EQ(trial.left_behind, "");
  }
  EXPECT_EQ(Objects(), 0U);
}

TEST_F(CustodyTrialTest, ACopyThatBecomesWeakerIsNamedAndDestroyed) {
  hsm_.Tell("copies_weaker 1");
  const auto trial = Try();
  EXPECT_EQ(trial.Names(WayOutcome::kLetThrough), "C_CopyObject CKA_EXTRACTABLE=true");
  EXPECT_EQ(trial.Names(WayOutcome::kFlagNotProtected), "C_CopyObject CKA_SENSITIVE=false")
      << "SoftHSM2 shows no value of a key that is not extractable";
  EXPECT_EQ(Objects(), 0U);
}

TEST_F(CustodyTrialTest, AValueThatCanBeReadIsNamed) {
  hsm_.Tell("answers private 0x123 01");  // CKA_PRIVATE_EXPONENT
  EXPECT_EQ(OutcomeOf(Try(), "C_GetAttributeValue CKA_PRIVATE_EXPONENT"), WayOutcome::kLetThrough);
}

TEST_F(CustodyTrialTest, AKeyThatCanBeWrappedIsNamed) {
  hsm_.Tell("wraps_out 1");
  EXPECT_EQ(OutcomeOf(Try(), "C_WrapKey CKM_AES_KEY_WRAP_PAD"), WayOutcome::kLetThrough);
}

// PKCS#11 v2.40 section 5.13. SoftHSM2HoldsEveryWayForEachTypeOfKey sees a token that keeps it.
TEST_F(CustodyTrialTest, AKeyThatWasOutsideAndShowsABirthInsideIsNamed) {
  for (const auto* algorithm : {"RS256", "ES256"}) {
    EXPECT_EQ(OutcomeOf(Try(algorithm), "C_UnwrapKey"), WayOutcome::kHeld) << algorithm;
  }
  for (const auto* shown : {"0x163", "0x164", "0x165"}) {  // CKA_LOCAL, CKA_NEVER_EXTRACTABLE, CKA_ALWAYS_SENSITIVE
    hsm_.Tell(std::string("shows ") + shown + " 1");
    const auto trial = TokenThatAccepts({})->TryCustody(*FindAlgorithm("ES256"));
    ASSERT_TRUE(trial) << trial.error().ToString();
    EXPECT_EQ(OutcomeOf(*trial, "C_UnwrapKey"), WayOutcome::kFlagNotProtected) << shown;
    EXPECT_TRUE(trial->held()) << "the keys that the token made did not leave";
  }
  EXPECT_EQ(Objects(), 0U);
}

TEST_F(CustodyTrialTest, AnUnwrappedKeyThatIsWeakerThanAskedIsNamed) {
  hsm_.Tell("unwraps_weaker 1");
  const auto trial = Try("ES256");
  EXPECT_EQ(OutcomeOf(trial, "C_UnwrapKey"), WayOutcome::kFlagNotProtected) << AnswerOf(trial, "C_UnwrapKey");
  hsm_.Tell("unwraps_weaker 1\nshows 0x103 1\nshows 0x162 0");  // CKA_SENSITIVE, CKA_EXTRACTABLE
  const auto lying = TokenThatAccepts({})->TryCustody(*FindAlgorithm("ES256"));
  ASSERT_TRUE(lying) << lying.error().ToString();
  EXPECT_EQ(OutcomeOf(*lying, "C_UnwrapKey"), WayOutcome::kLetThrough)
      << "its value can be read; " << AnswerOf(*lying, "C_UnwrapKey");
}

TEST_F(CustodyTrialTest, AKeyThatUnwrapsAgainstItsAttributesIsNamed) {
  EXPECT_EQ(OutcomeOf(Try(), "C_UnwrapKey by the key, CKM_RSA_PKCS"), WayOutcome::kHeld);
  hsm_.Tell("unwraps_any 1");
  const auto trial = TokenThatAccepts({})->TryCustody(kAlgorithms.front());
  ASSERT_TRUE(trial) << trial.error().ToString();
  EXPECT_EQ(OutcomeOf(*trial, "C_UnwrapKey by the key, CKM_RSA_PKCS"), WayOutcome::kFlagNotProtected);
  EXPECT_TRUE(trial->held());
}

// A TPM takes these changes, and keeps the key in all the same.
TEST_F(CustodyTrialTest, AChangeOfAFlagWithoutEffectLetsNothingThrough) {
  hsm_.Tell("takes_flags 1");
  const auto unchanged = Try();
  EXPECT_TRUE(unchanged.held());
  EXPECT_EQ(OutcomeOf(unchanged, "C_SetAttributeValue CKA_SENSITIVE=false"), WayOutcome::kHeld);
  hsm_.Tell("takes_flags 1\nshows 0x103 0");  // CKA_SENSITIVE
  const auto changed = TokenThatAccepts({})->TryCustody(kAlgorithms.front());
  ASSERT_TRUE(changed) << changed.error().ToString();
  EXPECT_TRUE(changed->held());
  EXPECT_EQ(OutcomeOf(*changed, "C_SetAttributeValue CKA_SENSITIVE=false"), WayOutcome::kFlagNotProtected);
}

TEST_F(CustodyTrialTest, AFailureOfTheTokenIsNoRefusal) {
  hsm_.Tell("C_WrapKey fail=0x30");
  EXPECT_EQ(OutcomeOf(Try(), "C_WrapKey CKM_AES_KEY_WRAP_PAD"), WayOutcome::kNotTried);
}

TEST_F(CustodyTrialTest, ATrialThatTheTokenEndsIsNoTrialAndTheNextGenerationTriesAgain) {
  hsm_.Tell("C_CopyObject fail=0x101");  // CKR_USER_NOT_LOGGED_IN
  const auto refused = Generate(hsm_.token(), 1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kUnavailable);
  EXPECT_EQ(Objects(), 0U);
  hsm_.Tell("");
  EXPECT_TRUE(Generate(hsm_.token(), 1));
}

TEST_F(CustodyTrialTest, ATokenThatLetsAKeyOutMakesNoneUnlessTheOperatorAcceptsIt) {
  hsm_.Tell("wraps_out 1");
  for (std::uint8_t id = 1; id < 3; ++id) {
    const auto refused = Generate(hsm_.token(), id);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::kKeyForbidden);
    EXPECT_TRUE(refused.error().message.contains("unproven custody")) << refused.error().message;
    EXPECT_TRUE(refused.error().message.contains("C_WrapKey CKM_AES_KEY_WRAP_PAD")) << refused.error().message;
    EXPECT_TRUE(refused.error().message.contains("custody in accept_unshown")) << refused.error().message;
  }
  EXPECT_EQ(Objects(), 0U);
  EXPECT_EQ(hsm_.token().CheckCustody(kAlgorithms.front()).error().code, Code::kKeyForbidden);
  const auto accepting = TokenThatAccepts({std::string(kCustody)});
  EXPECT_TRUE(accepting->Describe().CustodyText(kRsa).contains("not tried")) << "before the first key";
  EXPECT_TRUE(Generate(*accepting, 1));
  EXPECT_TRUE(accepting->Describe().CustodyText(kRsa).starts_with("unproven: "));
  EXPECT_TRUE(accepting->Describe().CustodyText(kRsa).contains("accept_unshown"));
}

TEST_F(CustodyTrialTest, EachTypeOfKeyIsTriedOnce) {
  ASSERT_TRUE(Generate(hsm_.token(), 1));
  hsm_.Tell("wraps_out 1");
  EXPECT_TRUE(Generate(hsm_.token(), 2)) << "tried before";
  EXPECT_FALSE(Generate(hsm_.token(), 3, "ES256"));
  EXPECT_TRUE(hsm_.token().Describe().CustodyText(kRsa).starts_with("held"));
}

TEST_F(CustodyTrialTest, AThrowAwayKeyThatStaysIsSaid) {
  hsm_.Tell("C_DestroyObject fail=0x6");
  const auto trial = Try();
  EXPECT_TRUE(trial.left_behind.contains("C_DestroyObject")) << trial.left_behind;
  EXPECT_TRUE(trial.held());
  EXPECT_EQ(hsm_.token().Read({std::string(kTrialKeyLabel)})->keys.size(), 1U);
}

// tpm2-pkcs11 may answer with the handle of another object.
TEST_F(CustodyTrialTest, AClientsKeyUnderTheHandleOfATrialsObjectIsNotDestroyed) {
  ASSERT_TRUE(Generate(hsm_.token(), 1));
  hsm_.Tell("reuses 1");
  for (const auto* algorithm : {"RS256", "ES256"}) {
    const auto trial = TokenThatAccepts({})->TryCustody(*FindAlgorithm(algorithm));
    ASSERT_TRUE(trial) << trial.error().ToString();
    EXPECT_EQ(trial->left_behind, "");
  }
  EXPECT_EQ(hsm_.token().Read({"orders"})->keys.size(), 1U);
  EXPECT_EQ(Objects(), 2U) << "both halves of the client's key";
}

}  // namespace
}  // namespace assertion::p11
