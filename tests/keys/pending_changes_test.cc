#include "keys/pending_changes.h"

#include <gtest/gtest.h>

#include "replica.h"
#include "softhsm.h"
#include "wrapped_token.h"

namespace assertion {
namespace {

using std::chrono::seconds;

constexpr const char* kPending = "assertiond pending";

class PendingChangesTest : public testing::Test {
 protected:
  PendingChange Change() const {
    return {.id = {},
            .method = "RevokeKey",
            .client_id = "orders",
            .kid = "k",
            .request = "what was asked",
            .digest = "d",
            .requested_by = {"uid:1"},
            .expires_at = now_ + seconds(60)};
  }
  TokenData Only() {
    const auto data = *hsm_.token().FindData(kPending, "");
    EXPECT_EQ(data.size(), 1U);
    return data.front();
  }
  std::size_t Objects() { return hsm_.token().FindData(kPending, "")->size(); }

  LoggedInSoftHsm hsm_;
  Time now_{seconds(1'800'000'000)};
  PendingChanges pending_{hsm_.token(), [this] { return now_; }, RandomOctets};
};

TEST_F(PendingChangesTest, AnotherServerFindsItAsItWasAsked) {
  const auto added = pending_.Add(Change());
  ASSERT_TRUE(added) << added.error().ToString();
  PendingChanges other(hsm_.token(), [this] { return now_; }, RandomOctets);
  const auto found = other.Find(added->id, "d");
  ASSERT_TRUE(found) << found.error().ToString();
  EXPECT_EQ(found->request, "what was asked");
  EXPECT_EQ(found->requested_by, (std::vector<std::string>{"uid:1"}));
  EXPECT_TRUE(other.Strays()->empty());
  ASSERT_TRUE(other.Remove(added->id));
  EXPECT_EQ(Objects(), 0U);
}

TEST_F(PendingChangesTest, APublicObjectIsNoneWhateverItSays) {
  const auto added = *pending_.Add(Change());
  PublicDataToken token(hsm_.token());
  PendingChanges other(token, [this] { return now_; }, RandomOctets);
  EXPECT_TRUE(other.List()->empty());
  EXPECT_EQ(other.Find(added.id, "d").error().code, Code::kNotFound);
  EXPECT_EQ(other.Strays()->size(), 1U);
}

// Fault 3: an object that anybody may make, with another's name as the one who asked.
TEST_F(PendingChangesTest, AForgedOneIsNeitherListedNorFound) {
  const auto added = *pending_.Add(Change());
  const auto text = Only().value;
  ASSERT_TRUE(pending_.Remove(added.id));
  const auto forged =
      std::string(R"({"id":"0a","method":"RevokeKey","client_id":"orders","kid":"k","request":"","digest":"d",)"
                  R"("requested_by":["uid:2"],"expires_at":1800000060})");
  hsm_.StorePublicData(kPending, "0a", forged);
  hsm_.StorePublicData(kPending, added.id, text);  // even what was sealed once
  ASSERT_TRUE(hsm_.token().StoreData(kPending, "0a", forged));
  EXPECT_TRUE(pending_.List()->empty());
  EXPECT_EQ(pending_.Find("0a", "d").error().code, Code::kNotFound);
  EXPECT_EQ(pending_.Find(added.id, "d").error().code, Code::kNotFound);
  const auto strays = *pending_.Strays();
  ASSERT_EQ(strays.size(), 3U);
  EXPECT_EQ(strays.front().name, "0a");
  // Nobody but an operator removes them.
  ASSERT_TRUE(pending_.Remove("0a"));
  ASSERT_TRUE(pending_.Add(Change()));
  EXPECT_EQ(Objects(), 4U);
}

TEST_F(PendingChangesTest, ALedgersSealIsNotAPendingChanges) {
  Seal seal(hsm_.token(), RandomOctets);
  const auto added = *pending_.Add(Change());
  const auto payload = *seal.Open(Seal::kPendingChange, Only().value);
  ASSERT_TRUE(pending_.Remove(added.id));
  ASSERT_TRUE(hsm_.token().StoreData(kPending, added.id, *seal.Sign(Seal::kLedger, payload)));
  EXPECT_TRUE(pending_.List()->empty());
  ASSERT_TRUE(hsm_.token().StoreData(kPending, added.id, *seal.Sign(Seal::kPendingChange, payload)));
  EXPECT_EQ(pending_.List()->size(), 1U);
}

TEST_F(PendingChangesTest, OneUnderAnotherLabelIsAStray) {
  const auto added = *pending_.Add(Change());
  const auto text = Only().value;
  ASSERT_TRUE(hsm_.token().StoreData(kPending, "another", text));
  EXPECT_EQ(pending_.List()->size(), 1U);
  ASSERT_EQ(pending_.Strays()->size(), 1U);
  EXPECT_EQ(pending_.Strays()->front().name, "another");
}

TEST_F(PendingChangesTest, StraysTakeNoPlace) {
  for (std::size_t i = 0; i < PendingChanges::kMost; ++i) {
    hsm_.StorePublicData(kPending, std::to_string(i), "{}");
  }
  EXPECT_TRUE(pending_.Add(Change()));
}

TEST_F(PendingChangesTest, OneOperatorLeavesRoomForOthersAndAllForARevocation) {
  auto change = Change();
  change.method = "GenerateKey";
  std::size_t kept = 0;
  for (int person = 0; person < 5; ++person) {
    change.requested_by = {"uid:" + std::to_string(person), "dns:group.example.org"};
    for (std::size_t i = 0; i <= PendingChanges::kMostOfOne; ++i) {
      const auto added = pending_.Add(change);
      EXPECT_TRUE(added || added.error().code == Code::kResourceExhausted);
      kept += added ? 1 : 0;
    }
    EXPECT_LE(kept, static_cast<std::size_t>(person + 1) * PendingChanges::kMostOfOne);
  }
  EXPECT_EQ(kept, PendingChanges::kMost - PendingChanges::kKeptForRevocations);
  auto revocation = Change();
  revocation.requested_by = {"uid:9"};
  for (std::size_t i = 0; i < PendingChanges::kKeptForRevocations; ++i) {
    EXPECT_TRUE(pending_.Add(revocation));
  }
  EXPECT_EQ(pending_.Add(revocation).error().code, Code::kResourceExhausted);
}

TEST_F(PendingChangesTest, WhatIsTooOldGoesAndNothingElse) {
  ASSERT_TRUE(pending_.Add(Change()));
  ASSERT_TRUE(hsm_.token().StoreData(kPending, "left", "by somebody"));
  now_ += seconds(61);
  EXPECT_TRUE(pending_.List()->empty());
  ASSERT_TRUE(pending_.Add(Change()));
  EXPECT_EQ(Objects(), 2U);
}

TEST_F(PendingChangesTest, ATakeoverDropsWhatWasUnsigned) {
  ASSERT_TRUE(hsm_.token().StoreData(kPending, "old", R"({"method":"RevokeKey"})"));
  hsm_.StorePublicData(kPending, "stray", "{}");
  ASSERT_TRUE(pending_.Add(Change()));
  EXPECT_EQ(*DropUnsignedChanges(hsm_.token()), 1U);
  EXPECT_EQ(Objects(), 2U);
  EXPECT_EQ(pending_.List()->size(), 1U);
}

}  // namespace
}  // namespace assertion
