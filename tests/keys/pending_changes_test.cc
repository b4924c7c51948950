#include "keys/pending_changes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "keys/key_change_text.h"
#include "replica.h"
#include "softhsm.h"
#include "wrapped_token.h"

namespace assertion {
namespace {

using std::chrono::seconds;

constexpr const char* kPending = "assertiond pending";

class PendingChangesTest : public testing::Test {
 protected:
  static KeyChange Revocation() {
    return KeyRevocation{.change = {.client_id = "orders",
                                    .expected_version = 3,
                                    .request_id = "request-1",
                                    .digest = "r",
                                    .forced = false},
                         .kid = "k"};
  }
  Result<PendingChange> Add(const KeyChange& change = Revocation(), std::vector<std::string> requested_by = {"uid:1"}) {
    return pending_.Add(change, std::move(requested_by), now_ + seconds(60));
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
  const auto added = Add();
  ASSERT_TRUE(added) << added.error().ToString();
  PendingChanges other(hsm_.token(), [this] { return now_; }, RandomOctets);
  const auto found = other.Find(added->id, added->digest);
  ASSERT_TRUE(found) << found.error().ToString();
  ASSERT_TRUE(found->change);
  EXPECT_EQ(TextOf(*found->change), TextOf(Revocation()));
  EXPECT_EQ(found->method, "RevokeKey");
  EXPECT_EQ(found->client_id, "orders");
  EXPECT_EQ(found->kid, "k");
  EXPECT_EQ(found->requested_by, (std::vector<std::string>{"uid:1"}));
  EXPECT_EQ(other.Find(added->id, "another").error().code, Code::kFailedPrecondition);
  EXPECT_TRUE(other.Strays()->empty());
  ASSERT_TRUE(other.Take(added->id));
  EXPECT_EQ(Objects(), 0U);
}

// The digest is over what is carried out: nobody approves one change and gets another.
TEST_F(PendingChangesTest, OneWhoseDigestIsAnothersCannotBeMade) {
  const auto added = *Add();
  Seal seal(hsm_.token(), RandomOctets);
  auto json = nlohmann::json::parse(*seal.Open(Seal::kPendingChange, Only().value));
  auto other = std::get<KeyRevocation>(Revocation());
  other.kid = "another";
  json["change"] = TextOf(other);
  ASSERT_TRUE(pending_.Take(added.id));
  ASSERT_TRUE(hsm_.token().StoreData(kPending, added.id, *seal.Sign(Seal::kPendingChange, json.dump())));
  const auto found = pending_.Find(added.id, added.digest);
  ASSERT_TRUE(found) << found.error().ToString();
  ASSERT_FALSE(found->change);
  EXPECT_EQ(found->change.error().message, "digest: is not that of what is kept on the token");
}

TEST_F(PendingChangesTest, OneOfALaterFormatIsAStray) {
  const auto added = *Add();
  Seal seal(hsm_.token(), RandomOctets);
  const auto json = nlohmann::json::parse(*seal.Open(Seal::kPendingChange, Only().value));
  ASSERT_TRUE(pending_.Take(added.id));
  auto later = json;
  later["version"] = 3;
  ASSERT_TRUE(hsm_.token().StoreData(kPending, added.id, *seal.Sign(Seal::kPendingChange, later.dump())));
  auto more = json;
  more["more"] = true;
  ASSERT_TRUE(hsm_.token().StoreData(kPending, added.id, *seal.Sign(Seal::kPendingChange, more.dump())));
  EXPECT_TRUE(pending_.List()->empty());
  EXPECT_EQ(pending_.Strays()->size(), 2U);
  ASSERT_TRUE(hsm_.token().StoreData(kPending, added.id, *seal.Sign(Seal::kPendingChange, json.dump())));
  EXPECT_EQ(pending_.List()->size(), 1U);
}

TEST_F(PendingChangesTest, APublicObjectIsNoneWhateverItSays) {
  const auto added = *Add();
  PublicDataToken token(hsm_.token());
  PendingChanges other(token, [this] { return now_; }, RandomOctets);
  EXPECT_TRUE(other.List()->empty());
  EXPECT_EQ(other.Find(added.id, added.digest).error().code, Code::kNotFound);
  EXPECT_EQ(other.Strays()->size(), 1U);
}

// Fault 3: an object that anybody may make, with another's name as the one who asked.
TEST_F(PendingChangesTest, AForgedOneIsNeitherListedNorFound) {
  const auto added = *Add();
  const auto text = Only().value;
  ASSERT_TRUE(pending_.Take(added.id));
  const auto forged =
      std::string(R"({"id":"0a","method":"RevokeKey","client_id":"orders","kid":"k","request":"","digest":"d",)"
                  R"("requested_by":["uid:2"],"expires_at":1800000060})");
  hsm_.StorePublicData(kPending, "0a", forged);
  hsm_.StorePublicData(kPending, added.id, text);  // even what was sealed before
  ASSERT_TRUE(hsm_.token().StoreData(kPending, "0a", forged));
  EXPECT_TRUE(pending_.List()->empty());
  EXPECT_EQ(pending_.Find("0a", "d").error().code, Code::kNotFound);
  EXPECT_EQ(pending_.Find(added.id, added.digest).error().code, Code::kNotFound);
  const auto strays = *pending_.Strays();
  ASSERT_EQ(strays.size(), 3U);
  EXPECT_EQ(std::ranges::count(strays, "0a", &StrayText::name), 2);  // in the order of names, and the other's is random
  // Nobody but an operator removes them.
  EXPECT_EQ(pending_.Take("0a").error().code, Code::kNotFound);
  ASSERT_TRUE(Add());
  EXPECT_EQ(Objects(), 4U);
}

TEST_F(PendingChangesTest, ALedgersSealIsNotAPendingChanges) {
  Seal seal(hsm_.token(), RandomOctets);
  const auto added = *Add();
  const auto payload = *seal.Open(Seal::kPendingChange, Only().value);
  ASSERT_TRUE(pending_.Take(added.id));
  ASSERT_TRUE(hsm_.token().StoreData(kPending, added.id, *seal.Sign(Seal::kLedger, payload)));
  EXPECT_TRUE(pending_.List()->empty());
  ASSERT_TRUE(hsm_.token().StoreData(kPending, added.id, *seal.Sign(Seal::kPendingChange, payload)));
  EXPECT_EQ(pending_.List()->size(), 1U);
}

TEST_F(PendingChangesTest, OneUnderAnotherLabelIsAStray) {
  const auto added = *Add();
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
  EXPECT_TRUE(Add());
}

TEST_F(PendingChangesTest, OneOperatorLeavesRoomForOthersAndAllForARevocation) {
  auto request = RequestOf(Revocation());
  request.request_id.clear();  // each is a request of its own
  const KeyChange generation = KeyGeneration{.change = request, .key = {}};
  const KeyChange revocation = KeyRevocation{.change = request, .kid = "k"};
  std::size_t kept = 0;
  for (int person = 0; person < 5; ++person) {
    for (std::size_t i = 0; i <= PendingChanges::kMostOfOne; ++i) {
      const auto added = Add(generation, {"uid:" + std::to_string(person), "dns:group.example.org"});
      EXPECT_TRUE(added || added.error().code == Code::kResourceExhausted);
      kept += added ? 1 : 0;
    }
    EXPECT_LE(kept, static_cast<std::size_t>(person + 1) * PendingChanges::kMostOfOne);
  }
  EXPECT_EQ(kept, PendingChanges::kMost - PendingChanges::kKeptForRevocations);
  for (std::size_t i = 0; i < PendingChanges::kKeptForRevocations; ++i) {
    EXPECT_TRUE(Add(revocation, {"uid:9"}));
  }
  EXPECT_EQ(Add(revocation, {"uid:9"}).error().code, Code::kResourceExhausted);
}

TEST_F(PendingChangesTest, AnExpiredChangeTakesNoPlaceAndIsThereUntilItIsRemoved) {
  const auto first = *Add();
  ASSERT_TRUE(hsm_.token().StoreData(kPending, "left", "by somebody"));
  now_ += seconds(61);
  EXPECT_TRUE(pending_.List()->empty());
  ASSERT_TRUE(Add());
  EXPECT_EQ(Objects(), 3U);
  const auto expired = *pending_.Expired();
  ASSERT_EQ(expired.size(), 1U);
  EXPECT_EQ(expired.front().id, first.id);
  EXPECT_TRUE(pending_.Take(first.id));
  EXPECT_FALSE(pending_.Take(first.id)) << "it was gone already";
  EXPECT_EQ(Objects(), 2U);
}

TEST_F(PendingChangesTest, ATakeoverDropsWhatWasUnsigned) {
  ASSERT_TRUE(hsm_.token().StoreData(kPending, "old", R"({"method":"RevokeKey"})"));
  hsm_.StorePublicData(kPending, "stray", "{}");
  ASSERT_TRUE(Add());
  EXPECT_EQ(*DropUnsignedChanges(hsm_.token()), 1U);
  EXPECT_EQ(Objects(), 2U);
  EXPECT_EQ(pending_.List()->size(), 1U);
}

// As NSS answers.
class DatalessToken final : public WrappedToken {
 public:
  using WrappedToken::WrappedToken;
  Status StoreData(std::string_view /*application*/, std::string_view /*label*/, std::string_view /*value*/) override {
    return Fail(Code::kInternal, "the HSM refused the operation", "C_CreateObject: Invalid value for field (0x13)");
  }
};

// Changes on a token that stores no data objects, beside a ledger in a file.
class PendingFileTest : public PendingChangesTest {
 protected:
  PendingChanges Open() {
    return PendingChanges(dataless_, [this] { return now_; }, RandomOctets, {}, file_);
  }

  DatalessToken dataless_{hsm_.token()};
  const std::string file_ = hsm_.directory() / "ledger.pending";
};

TEST_F(PendingFileTest, ChangesAreKeptInTheFileAndAnotherServerFindsThem) {
  auto mine = Open();
  const auto first = mine.Add(Revocation(), {"uid:1"}, now_ + seconds(60));
  ASSERT_TRUE(first) << first.error().ToString();
  auto another = std::get<KeyRevocation>(Revocation());
  another.change.request_id = "request-2";
  const auto second = mine.Add(another, {"uid:1"}, now_ + seconds(120));
  ASSERT_TRUE(second) << second.error().ToString();
  EXPECT_EQ(Objects(), 0U);
  auto other = Open();
  EXPECT_EQ(other.List()->size(), 2U);
  const auto found = other.Find(second->id, second->digest);
  ASSERT_TRUE(found) << found.error().ToString();
  EXPECT_EQ(TextOf(*found->change), TextOf(another));
  ASSERT_TRUE(other.Take(second->id));
  ASSERT_EQ(mine.List()->size(), 1U);
  EXPECT_EQ(mine.List()->front().id, first->id);
}

TEST_F(PendingFileTest, AnEntryThatDoesNotVerifyIsAStrayAndTheOthersCount) {
  ASSERT_TRUE(Open().Add(Revocation(), {"uid:1"}, now_ + seconds(60)));
  auto entries = *EntriesFile(file_).Read();
  entries.push_back(entries.front());
  entries.back().back() = entries.back().back() == 'A' ? 'B' : 'A';  // of the signature
  ASSERT_TRUE(EntriesFile(file_).Write(entries));
  EXPECT_EQ(Open().List()->size(), 1U);
  ASSERT_EQ(Open().Strays()->size(), 1U);
  EXPECT_TRUE(Open().Strays()->front().name.contains("entry 2 of")) << Open().Strays()->front().name;
}

TEST_F(PendingFileTest, AnExpiredEntryIsThereUntilItIsRemoved) {
  ASSERT_TRUE(Open().Add(Revocation(), {"uid:1"}, now_ + seconds(60)));
  now_ += seconds(61);
  EXPECT_TRUE(Open().List()->empty());
  ASSERT_TRUE(Open().Add(Revocation(), {"uid:1"}, now_ + seconds(60)));
  const auto expired = *Open().Expired();
  ASSERT_EQ(expired.size(), 1U);
  EXPECT_LE(expired.front().expires_at, now_);
  EXPECT_TRUE(Open().Take(expired.front().id));
  EXPECT_EQ(EntriesFile(file_).Read()->size(), 1U);
}

TEST_F(PendingFileTest, WithoutAFileTheErrorIsTheTokens) {
  PendingChanges none(dataless_, [this] { return now_; }, RandomOctets);
  const auto refused = none.Add(Revocation(), {"uid:1"}, now_ + seconds(60));
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().detail.contains("C_CreateObject")) << refused.error().ToString();
}

}  // namespace
}  // namespace assertion
