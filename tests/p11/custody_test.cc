#include "p11/custody.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "softhsm.h"

namespace assertion::p11 {
namespace {

// The attributes of a key that SoftHSM2 generated, for the tests to change.
class CustodyTest : public testing::Test {
 protected:
  CustodyTest() {
    auto key =
        hsm_.token().GenerateKeyPair({.label = "orders", .id = {1}, .algorithm = kAlgorithms.data(), .bits = 2048});
    EXPECT_TRUE(key) << key.error().ToString();
    attributes_ = key->attributes;
  }

  // The message of the check after `name` was read as `value`; empty: it passed.
  std::string CheckWith(std::string_view name, std::optional<bool> value) const {
    auto changed = attributes_;
    for (auto& attribute : changed) {
      if (attribute.name == name) {
        attribute.value = value;
      }
    }
    const auto checked = CheckCustodyAtBirth(changed, {});
    return checked ? "" : checked.error().message;
  }

  LoggedInSoftHsm hsm_;
  std::vector<KeyAttribute> attributes_;
};

TEST_F(CustodyTest, AnAttributeWithTheWrongValueIsRefusedByName) {
  ASSERT_TRUE(CheckCustodyAtBirth(attributes_, {}));
  for (const auto& attribute : attributes_) {
    ASSERT_TRUE(attribute.value) << attribute.name;
    const auto message = CheckWith(attribute.name, !*attribute.value);
    EXPECT_TRUE(message.contains("asked for: " + std::string(attribute.name) + " (")) << message;
  }
}

TEST_F(CustodyTest, OnlyAttributesThatOlderModulesDoNotKnowMayBeAbsent) {
  for (const auto& attribute : attributes_) {
    const bool recent = attribute.name == "CKA_COPYABLE" || attribute.name == "CKA_MODIFIABLE";
    EXPECT_EQ(CheckWith(attribute.name, {}).empty(), recent) << attribute.name;
  }
}

TEST_F(CustodyTest, AttributesThatWereNotReadAreNotAccepted) {
  EXPECT_FALSE(CheckCustodyAtBirth({}, {}));
  attributes_.pop_back();
  EXPECT_FALSE(CheckCustodyAtBirth(attributes_, {}));
}

TEST(CustodyTemplateTest, LeavesOutWhatIsNamedAlone) {
  const auto all = CustodyTemplate({});
  const auto fewer = CustodyTemplate({CKA_COPYABLE});
  ASSERT_EQ(all.size(), fewer.size() + 1);
  EXPECT_TRUE(std::ranges::none_of(fewer, [](const auto& each) { return each.type == CKA_COPYABLE; }));
}

TEST(CustodyTemplateTest, EssentialAttributesAreNeverGivenUp) {
  const auto negotiable = NegotiableAttributes();
  EXPECT_EQ(negotiable.size(), 6U);
  EXPECT_EQ(negotiable.front(), CKA_COPYABLE);
  for (const CK_ATTRIBUTE_TYPE essential : {CKA_SENSITIVE, CKA_EXTRACTABLE, CKA_SIGN, CKA_PRIVATE}) {
    EXPECT_EQ(std::ranges::count(negotiable, essential), 0);
  }
}

TEST_F(CustodyTest, AnAttributeThatWasNotAskedForNeedNotBeShownButMustNotBeWrong) {
  const auto negotiable = NegotiableAttributes();
  const AttributeTypes left_out(negotiable.begin(), negotiable.end());
  for (auto& attribute : attributes_) {
    const auto right = attribute.value;
    attribute.value = !*right;
    EXPECT_FALSE(CheckCustodyAtBirth(attributes_, left_out)) << attribute.name;
    attribute.value = {};
    const bool may_be_unshown =
        std::ranges::any_of(negotiable, [&](auto type) { return CustodyAttributeName(type) == attribute.name; });
    EXPECT_EQ(CheckCustodyAtBirth(attributes_, left_out).has_value(), may_be_unshown) << attribute.name;
    attribute.value = right;
  }
}

TEST_F(CustodyTest, AKeyThatDoesMoreThanSignDoesNotSign) {
  for (auto& attribute : attributes_) {
    const bool limits_use = attribute.name == "CKA_DECRYPT" || attribute.name == "CKA_UNWRAP" ||
                            attribute.name == "CKA_DERIVE" || attribute.name == "CKA_SIGN_RECOVER";
    if (limits_use) {
      EXPECT_TRUE(attribute.ok());
      attribute.value = {};
      EXPECT_TRUE(attribute.ok()) << attribute.name;
      attribute.value = true;
      EXPECT_FALSE(attribute.ok()) << attribute.name;
    }
  }
}

TEST_F(CustodyTest, TheOperatorAcceptsByNameAndNothingEssential) {
  const AttributeNames everything = {"CKA_SENSITIVE",         "CKA_EXTRACTABLE", "CKA_SIGN",
                                     "CKA_PRIVATE",           "CKA_LOCAL",       "CKA_ALWAYS_SENSITIVE",
                                     "CKA_NEVER_EXTRACTABLE", "CKA_DECRYPT"};
  for (auto& attribute : attributes_) {
    attribute.value = attribute.value && !*attribute.value;
    MarkAccepted(attributes_, everything);
    EXPECT_EQ(CheckCustodyAtBirth(attributes_, {}).has_value(), attribute.accepted) << attribute.name;
    attribute.value = attribute.value && !*attribute.value;
  }
  EXPECT_EQ(std::ranges::count(attributes_, true, &KeyAttribute::accepted), 4);
}

}  // namespace
}  // namespace assertion::p11
