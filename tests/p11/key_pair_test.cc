#include "p11/key_pair.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>

#include "faulty_hsm/faulty_hsm.h"

namespace assertion::p11 {
namespace {

// A token that refuses attributes in a template, or shows them otherwise than they are.
class BirthTest : public testing::Test {
 protected:
  Result<TokenKey> Generate(std::uint8_t id, HsmToken& token) {
    return token.GenerateKeyPair({.label = "orders", .id = {id}, .algorithm = kAlgorithms.data(), .bits = 2048});
  }

  std::size_t PrivateKeys() { return hsm_.token().Read({"orders"})->keys.size(); }

  FaultyHsm hsm_;
};

TEST(RefusedTemplateTest, WhatIsRefusedIsLeftOutAndNothingElse) {
  for (const char* refused : {"0x171 0x5", "0x170 0x10", "0x10c 0x12", "0x105 0x13", "0x171 0xd0", "0x170 0xd1"}) {
    FaultyHsm hsm;
    hsm.Tell(std::string("template ") + refused);
    const auto made =
        hsm.token().GenerateKeyPair({.label = "orders", .id = {1}, .algorithm = kAlgorithms.data(), .bits = 2048});
    ASSERT_TRUE(made) << refused << ": " << made.error().ToString();
    const auto description = hsm.token().Describe();
    EXPECT_EQ(description.not_asked.size(), 1U) << refused;
    for (const auto& read : made->attributes) {
      if (!description.not_asked.contains(read.name) && !read.required) {
        EXPECT_EQ(read.value, false) << refused << ": " << read.name;
      }
    }
  }
}

TEST_F(BirthTest, SeveralRefusedAttributesAreFoundAndTheRestIsAskedFor) {
  hsm_.Tell("template 0x171 0x12\ntemplate 0x105 0x13");  // CKA_COPYABLE, CKA_DECRYPT
  ASSERT_TRUE(Generate(1, hsm_.token()));
  EXPECT_EQ(hsm_.token().Describe().not_asked, (AttributeNames{"CKA_COPYABLE", "CKA_DECRYPT"}));
  ASSERT_TRUE(Generate(2, hsm_.token())) << "as learnt";
  EXPECT_EQ(PrivateKeys(), 2U) << "what was made on the way is gone";
}

TEST_F(BirthTest, ARefusalOfAnEssentialAttributeIsFinal) {
  for (const char* attribute : {"0x103", "0x162", "0x108", "0x2"}) {
    hsm_.Tell(std::string("template ") + attribute + " 0x12");
    const auto made = Generate(1, hsm_.token());
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, Code::kInternal);
    EXPECT_TRUE(made.error().detail.contains("C_GenerateKeyPair: ")) << made.error().ToString();
    EXPECT_FALSE(made.error().ToString().contains("try again"));
  }
  hsm_.Tell("");
  EXPECT_EQ(PrivateKeys(), 0U);
}

TEST_F(BirthTest, OneRefusalForAnotherReasonGivesNothingUp) {
  hsm_.Tell("C_GenerateKeyPair fail=0x5 times=1");
  ASSERT_TRUE(Generate(1, hsm_.token()));
  EXPECT_TRUE(hsm_.token().Describe().not_asked.empty());
}

TEST_F(BirthTest, WhatTheTokenDoesNotShowIsTheOperatorsDecision) {
  hsm_.Tell("shows 0x163 0");  // CKA_LOCAL
  const auto refused = Generate(1, hsm_.token());
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().message.contains("CKA_LOCAL (it was generated inside the token"))
      << refused.error().message;
  EXPECT_TRUE(refused.error().message.contains("accept_unshown"));
  EXPECT_EQ(PrivateKeys(), 0U) << "the key is destroyed";
  const auto module = hsm_.module_pointer();
  const auto info = hsm_.token().info();
  const auto accepting = HsmToken::LogIn(module, info, hsm_.pin_file(), hsm_.directory().string(), {}, {"CKA_LOCAL"});
  ASSERT_TRUE(accepting) << accepting.error().ToString();
  const auto made = Generate(2, **accepting);
  ASSERT_TRUE(made) << made.error().ToString();
  EXPECT_EQ(std::ranges::count(made->attributes, true, &KeyAttribute::accepted), 1);
}

TEST_F(BirthTest, SessionsAreReadWriteWhereTheTokenRefusesOthers) {
  ASSERT_TRUE(Generate(1, hsm_.token()));
  hsm_.Tell("read_only 0x7");
  const auto session = hsm_.token().OpenSigningSession();
  ASSERT_TRUE(session) << session.error().ToString();
  EXPECT_TRUE((*session)->Sign({1}, kAlgorithms[0], "input"));
  EXPECT_TRUE(hsm_.module().refuses_read_only());
}

}  // namespace
}  // namespace assertion::p11
