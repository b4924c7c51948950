#include "p11/key_pair.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <thread>

#include "assertion/curve.h"
#include "faulty_hsm/faulty_hsm.h"
#include "p11/attribute.h"
#include "p11/session.h"

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
  for (const std::string refused :
       {"0x171 0x5", "0x170 0x10", "0x10c 0x12", "0x105 0x13", "0x171 0xd0", "0x170 0xd1"}) {
    FaultyHsm hsm;
    hsm.Tell("template " + refused + "\nunreadable " + refused.substr(0, refused.find(' ')));
    const auto made =
        hsm.token().GenerateKeyPair({.label = "orders", .id = {1}, .algorithm = kAlgorithms.data(), .bits = 2048});
    ASSERT_TRUE(made) << refused << ": " << made.error().ToString();
    const auto description = hsm.token().Describe();
    EXPECT_EQ(description.not_asked.size(), 1U) << refused;
    for (const auto& read : made->attributes) {
      EXPECT_EQ(read.value.has_value(), !description.not_asked.contains(read.name)) << refused << ": " << read.name;
      EXPECT_TRUE(read.ok()) << refused << ": " << read.name;
    }
  }
}

TEST_F(BirthTest, SeveralRefusedAttributesAreFoundAndTheRestIsAskedFor) {
  // CKA_COPYABLE, CKA_DECRYPT
  hsm_.Tell("template 0x171 0x12\nunreadable 0x171\ntemplate 0x105 0x13\nunreadable 0x105");
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

// A token whose disk is full for a moment answers as one that refuses a template. Keys that decrypt would come of it.
TEST_F(BirthTest, FailuresForAnotherReasonGiveNothingUp) {
  for (int failures = 1; failures <= 12; ++failures) {
    hsm_.Tell("C_GenerateKeyPair fail=0x6 times=" + std::to_string(failures));
    if (const auto made = Generate(1, hsm_.token())) {
      EXPECT_TRUE(std::ranges::all_of(made->attributes, &KeyAttribute::ok)) << failures;
      EXPECT_TRUE(std::ranges::none_of(made->attributes, [](const auto& one) {
        return one.name == "CKA_DECRYPT" && one.value == true;
      })) << failures;
      ASSERT_TRUE(hsm_.token().DestroyKey(BytesView(std::array<std::uint8_t, 1>{1})));
    }
    hsm_.Tell("");
    ASSERT_TRUE(Generate(2, hsm_.token())) << failures;
    EXPECT_TRUE(hsm_.token().Describe().not_asked.empty()) << failures;
    ASSERT_TRUE(hsm_.token().DestroyKey(BytesView(std::array<std::uint8_t, 1>{2})));
  }
  EXPECT_EQ(PrivateKeys(), 0U);
}

TEST_F(BirthTest, WhatWasLeftOutAndIsShownWrongTakesTheOperatorsWord) {
  hsm_.Tell("template 0x105 0x13");  // CKA_DECRYPT, which is true unless another value is asked for
  const auto refused = Generate(1, hsm_.token());
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().message.contains("CKA_DECRYPT (it does not decrypt)")) << refused.error().message;
  EXPECT_EQ(PrivateKeys(), 0U);
}

// Objects that are not CKA_PRIVATE take no PIN to make.
TEST_F(BirthTest, AStrangersObjectsUnderTheSameLabelStopNoBirth) {
  std::jthread stranger([&](const std::stop_token& stop) {
    auto session = Session::Open(hsm_.module_pointer(), hsm_.token().info().slot, CKF_RW_SESSION);
    ASSERT_TRUE(session) << session.error().ToString();
    const CK_OBJECT_CLASS object_class = CKO_PRIVATE_KEY;
    const CK_KEY_TYPE type = CKK_EC;
    const std::array<std::uint8_t, 1> id = {9};
    const std::string label = "orders";
    const auto& curve = kCurves.front();
    while (!stop.stop_requested()) {
      std::array attributes = {Attribute(CKA_CLASS, object_class),
                               Attribute(CKA_KEY_TYPE, type),
                               Attribute(CKA_TOKEN, kTrue),
                               Attribute(CKA_PRIVATE, kFalse),
                               Attribute(CKA_ID, BytesView(id)),
                               Attribute(CKA_LABEL, AsBytes(label)),
                               Attribute(CKA_EC_PARAMS, AsBytes(curve.ec_params)),
                               Attribute(CKA_VALUE, BytesView(id))};
      const auto made = session->Create(attributes);
      ASSERT_TRUE(made) << made.error().ToString();
      ASSERT_TRUE(session->Destroy(*made));
    }
  });
  for (std::uint8_t id = 1; id <= 6; ++id) {
    const auto made = Generate(id, hsm_.token());
    EXPECT_TRUE(made) << made.error().ToString();
  }
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
