#include "p11/custody.h"

#include <gtest/gtest.h>

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
    const auto checked = CheckCustodyAtBirth(changed);
    return checked ? "" : checked.error().message;
  }

  LoggedInSoftHsm hsm_;
  std::vector<KeyAttribute> attributes_;
};

TEST_F(CustodyTest, AnAttributeWithTheWrongValueIsRefusedByName) {
  ASSERT_TRUE(CheckCustodyAtBirth(attributes_));
  for (const auto& attribute : attributes_) {
    ASSERT_TRUE(attribute.value) << attribute.name;
    const auto message = CheckWith(attribute.name, !*attribute.value);
    EXPECT_TRUE(message.ends_with(": " + std::string(attribute.name))) << attribute.name << ": " << message;
  }
}

TEST_F(CustodyTest, OnlyAttributesThatOlderModulesDoNotKnowMayBeAbsent) {
  for (const auto& attribute : attributes_) {
    const bool recent = attribute.name == "CKA_COPYABLE" || attribute.name == "CKA_MODIFIABLE";
    EXPECT_EQ(CheckWith(attribute.name, {}).empty(), recent) << attribute.name;
  }
}

TEST_F(CustodyTest, AttributesThatWereNotReadAreNotAccepted) {
  EXPECT_FALSE(CheckCustodyAtBirth({}));
  attributes_.pop_back();
  EXPECT_FALSE(CheckCustodyAtBirth(attributes_));
}

TEST(CustodyTemplateTest, ASecondRequestLeavesOutTheRecentAttributesAlone) {
  const auto all = CustodyTemplate(CustodyRequest::kAll);
  const auto fewer = CustodyTemplate(CustodyRequest::kWithoutRecent);
  ASSERT_EQ(all.size(), fewer.size() + 2);
  for (std::size_t i = 0; i < fewer.size(); ++i) {
    EXPECT_EQ(all[i].type, fewer[i].type);
  }
  EXPECT_EQ(all[all.size() - 2].type, CKA_COPYABLE);
  EXPECT_EQ(all[all.size() - 1].type, CKA_MODIFIABLE);
}

}  // namespace
}  // namespace assertion::p11
