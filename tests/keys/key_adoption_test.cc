#include "keys/key_adoption.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "jws/thumbprint.h"
#include "keys/evidence.h"
#include "keys/own_key.h"
#include "keys/stray.h"
#include "replica.h"
#include "softhsm.h"
#include "wrapped_token.h"

namespace assertion {
namespace {

using std::chrono::seconds;

class KeyAdoptionTest : public testing::Test {
 protected:
  KeyAdoptionTest() : certifier_(*x509::Certifier::New(SOFTHSM2_MODULE)) {}

  Replica Start(std::vector<Client> clients = {Named("orders"), Named("billing", Binding::kJwks)}) {
    return Start(hsm_.token(), std::move(clients));
  }
  Replica Start(Token& token, std::vector<Client> clients = {Named("orders"), Named("billing", Binding::kJwks)}) {
    return {token, *certifier_, std::move(clients), now_};
  }

  // Makes a fit key pair whose label nothing can change (CKA_MODIFIABLE false). Returns its kid.
  std::string Make(const Bytes& id, const std::string& label = "vendor", const char* algorithm = "RS256") {
    const auto* wanted = FindAlgorithm(algorithm);
    const auto key = hsm_.token().GenerateKeyPair(
        {.label = label, .id = id, .algorithm = wanted, .bits = wanted->default_key_bits()});
    EXPECT_TRUE(key) << key.error().ToString();
    return key ? jws::JwkThumbprint(key->public_key) : "";
  }

  static AdoptionRequest Request(const Bytes& id, const std::string& kid, const char* algorithm = "RS256") {
    auto key = Replica::NewKey();
    key.algorithm = FindAlgorithm(algorithm);
    return {.id = id, .kid = kid, .certificates = {}, .key = key};
  }

  static Result<std::string> Adopt(Replica& replica, const std::string& client_id, const AdoptionRequest& request) {
    return replica.custodian().Adopt(replica.Change(client_id), request);
  }

  // Why the client cannot adopt the key, separated by "|".
  static std::string Obstacles(Replica& replica, const Bytes& id, const char* algorithm = "RS256",
                               const std::string& client_id = "orders") {
    const auto candidate =
        replica.custodian().Examine({.client_id = client_id, .id = id, .algorithm = FindAlgorithm(algorithm)});
    EXPECT_TRUE(candidate) << candidate.error().ToString();
    std::string all;
    for (const auto& obstacle : candidate ? candidate->obstacles : std::vector<std::string>()) {
      all += (all.empty() ? "" : "|") + obstacle;
    }
    return all;
  }

  bool IsOnToken(const Bytes& id) { return !hsm_.token().Read({}, {id})->keys.empty(); }

  LoggedInSoftHsm hsm_;
  std::unique_ptr<x509::Certifier> certifier_;
  Time now_{seconds(1'800'000'000)};
};

TEST_F(KeyAdoptionTest, AFirstKeySignsAtOnceAndIsFoundByItsIdWhereItsLabelStays) {
  const auto kid = Make({1});
  {
    auto replica = Start();
    const auto adopted = Adopt(replica, "orders", Request({1}, kid));
    ASSERT_TRUE(adopted) << adopted.error().ToString();
    EXPECT_EQ(*adopted, kid);
    EXPECT_EQ((*replica.ring().SigningKeyOf("orders"))->kid, kid);
  }
  auto restarted = Start();
  EXPECT_EQ(restarted.Record("orders", kid).origin, KeyOrigin::kAdopted);
  const auto key = restarted.ring().SigningKeyOf("orders");
  ASSERT_TRUE(key) << key.error().ToString();
  EXPECT_EQ((*key)->kid, kid);
  EXPECT_EQ((*key)->chain.size(), 1U);
  EXPECT_EQ(hsm_.token().Read({}, {{1}})->keys.at(0).label, "vendor");
  const auto evidence = MakeEvidence(hsm_.token(), "orders", *restarted.ring().Find("orders", kid), 1, now_);
  ASSERT_TRUE(evidence) << evidence.error().ToString();
  EXPECT_NE(VerifyEvidence(*evidence)->report.find("adopted, born outside"), std::string::npos);
}

TEST_F(KeyAdoptionTest, ALaterKeyIsStagedAndDestroyedLikeAnyOther) {
  auto replica = Start();
  const auto first = replica.Generate("orders");
  const auto kid = Make({1}, "vendor", "ES256");
  ASSERT_TRUE(Adopt(replica, "orders", Request({1}, kid, "ES256")));
  EXPECT_EQ(replica.Record("orders", kid).StateAt(now_), KeyState::kStaged);
  EXPECT_EQ((*replica.ring().SigningKeyOf("orders"))->kid, first);
  ASSERT_TRUE(replica.custodian().Reschedule(
      replica.Change("orders"), kid, {.publish_from = {}, .sign_from = now_, .sign_until = {}, .publish_until = {}}));
  EXPECT_EQ((*replica.ring().SigningKeyOf("orders"))->kid, kid);
  ASSERT_TRUE(replica.custodian().Revoke(replica.Change("orders", /*forced=*/true), kid));
  ASSERT_TRUE(replica.custodian().Destroy(replica.Change("orders"), kid));
  EXPECT_FALSE(IsOnToken({1}));
}

TEST_F(KeyAdoptionTest, OnlyTheKeyThatWasSeenIsAdopted) {
  Make({1});
  auto replica = Start();
  const auto refused = Adopt(replica, "orders", Request({1}, "another"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kFailedPrecondition);
  EXPECT_EQ(replica.VersionOf("orders"), 0);
}

// A token that shows custody and was seen not to enforce it.
class LeakyToken final : public WrappedToken {
 public:
  using WrappedToken::WrappedToken;
  Status CheckCustody(const Algorithm& /*algorithm*/) override {
    return Fail(Code::kKeyForbidden, "unproven custody: the token let a throw-away key out");
  }
};

TEST_F(KeyAdoptionTest, NoKeyOfATokenWithUnprovenCustodyIsAdopted) {
  const auto kid = Make({1});
  LeakyToken leaky(hsm_.token());
  auto replica = Start(leaky);
  const auto refused = Adopt(replica, "orders", Request({1}, kid));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kKeyForbidden) << refused.error().ToString();
  EXPECT_EQ(replica.VersionOf("orders"), 0);
  EXPECT_TRUE(IsOnToken({1}));
}

TEST_F(KeyAdoptionTest, UnfitKeysAreRefusedByTheNamesOfTheirAttributes) {
  hsm_.MakeKey("vendor", {1}, /*sensitive=*/true, /*extractable=*/true);
  hsm_.MakeKey("vendor", {2}, /*sensitive=*/false, /*extractable=*/false);
  hsm_.MakeKey("vendor", {3}, /*sensitive=*/true, /*extractable=*/false, /*decrypts=*/true);
  auto replica = Start();
  EXPECT_NE(Obstacles(replica, {1}).find("CKA_EXTRACTABLE is true, and must be false"), std::string::npos);
  EXPECT_NE(Obstacles(replica, {2}).find("CKA_SENSITIVE is false, and must be true"), std::string::npos);
  EXPECT_TRUE(Obstacles(replica, {3}).starts_with("CKA_DECRYPT is true, and must be false")) << Obstacles(replica, {3});
  for (const Bytes& id : {Bytes{1}, Bytes{2}, Bytes{3}}) {
    const auto refused = Adopt(replica, "orders", Request(id, ""));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::kFailedPrecondition);
    EXPECT_NE(refused.error().message.find("CKA_"), std::string::npos);
  }
  EXPECT_EQ(replica.VersionOf("orders"), 0);
}

TEST_F(KeyAdoptionTest, AKeyInUseIsRefused) {
  const auto kid = Make({1});
  auto replica = Start();
  ASSERT_TRUE(Adopt(replica, "orders", Request({1}, kid)));
  EXPECT_EQ(Obstacles(replica, {1}, "RS256", "billing"), "it is in the ledger of client 'orders'");
  const auto generated = replica.Record("billing", replica.Generate("billing"));
  EXPECT_EQ(Obstacles(replica, generated.id, "RS256", "billing"), "it is in the ledger of client 'billing'");
  const auto own = FindOrGenerateOwnKey(hsm_.token(), kAuditKeyLabel, RandomOctets);
  ASSERT_TRUE(own);
  EXPECT_EQ(Obstacles(replica, own->id),
            "its CKA_LABEL is that of a key of assertiond's own: assertiond-audit|it is one of assertiond's own keys");
}

// The real token, whose keys may differ.
class AlteredToken final : public WrappedToken {
 public:
  using WrappedToken::Read;
  using WrappedToken::WrappedToken;
  Result<TokenContents> Read(const std::set<std::string, std::less<>>& labels, const std::set<Bytes>& ids) override {
    auto contents = WrappedToken::Read(labels, ids);
    for (auto& key : contents->keys) {
      if (exponent && !ids.empty()) {
        std::get<RsaPublicKey>(key.candidates.front()).exponent = *exponent;
      }
    }
    return contents;
  }

  std::optional<Bytes> exponent;  // of every key that is read by its CKA_ID
};

TEST_F(KeyAdoptionTest, AKeyInUseIsKnownByItsPublicKeyToo) {
  auto replica = Start();
  auto ledger = *replica.ledger().Take("billing");
  ClientLedger next{.client_id = "billing", .version = 1, .previous = "", .keys = {}, .requests = {}};
  next.keys.push_back({.kid = Make({1}), .algorithm = kAlgorithms.data(), .id = {2}, .certificates = {}});
  ASSERT_TRUE(ledger->Commit(next));
  ledger.reset();
  EXPECT_EQ(Obstacles(replica, {1}), "it is in the ledger of client 'billing'");
}

TEST_F(KeyAdoptionTest, AnUnsafeExponentIsRefused) {
  Make({1});
  AlteredToken token(hsm_.token());
  auto replica = Start(token);
  for (const Bytes& exponent : {Bytes{1}, Bytes{3}, Bytes{1, 0, 0}, Bytes(33, 1)}) {
    token.exponent = exponent;
    EXPECT_EQ(Obstacles(replica, {1}), "its public exponent is not an odd number from 65537 on") << Hex(exponent);
  }
  token.exponent = Bytes{1, 0, 3};  // not the key's
  EXPECT_EQ(Obstacles(replica, {1}), "it did not make a signature that its public key verifies");
}

TEST_F(KeyAdoptionTest, NamesAlgorithmsAndSizesAreChecked) {
  Make({1}, "billing");
  Make(Bytes(33, 1));
  Make({2}, "vendor", "ES384");
  auto replica = Start();
  EXPECT_EQ(Obstacles(replica, {1}),
            "its CKA_LABEL is the id of client 'billing': adopt it for that client, or change its label");
  EXPECT_EQ(Obstacles(replica, {1}, "RS256", "billing"), "");
  EXPECT_EQ(Obstacles(replica, Bytes(33, 1)), "its CKA_ID has 33 octets, not 1 to 32");
  EXPECT_EQ(Obstacles(replica, {2}), "it is a key for ES384, not for RS256: name its algorithm");
  EXPECT_EQ(Obstacles(replica, {2}, "ES384"), "");
  const auto missing = replica.custodian().Examine({.client_id = "orders", .id = {9}, .algorithm = kAlgorithms.data()});
  EXPECT_EQ(missing.error().code, Code::kNotFound);
}

TEST_F(KeyAdoptionTest, TwoPrivateKeysOfOneIdAreRefused) {
  Make({1});
  hsm_.MakeKey("other", {1}, /*sensitive=*/true, /*extractable=*/false);
  auto replica = Start();
  EXPECT_NE(Obstacles(replica, {1}).find("the token holds 2 private keys with CKA_ID 01"), std::string::npos);
}

TEST_F(KeyAdoptionTest, ARefusedChangeLeavesTheKeyOnTheToken) {
  const auto kid = Make({1});
  auto replica = Start();
  auto request = Request({1}, kid);
  request.certificates = "nonsense";
  EXPECT_FALSE(Adopt(replica, "orders", request));
  auto stale = replica.Change("orders");
  replica.Generate("orders");
  EXPECT_EQ(replica.custodian().Adopt(stale, Request({1}, kid)).error().code, Code::kAborted);
  request = Request({1}, kid);
  request.key.limits.per_client = 1;
  const auto full = Adopt(replica, "orders", request);
  EXPECT_EQ(full.error().code, Code::kFailedPrecondition);
  replica.Generate("orders");  // the first that counts
  request.key.limits = {.per_client = 64, .generations_per_hour = 1, .client_generations_per_hour = 1};
  EXPECT_EQ(Adopt(replica, "orders", request).error().code, Code::kResourceExhausted) << "it counts as a making";
  EXPECT_TRUE(IsOnToken({1}));
}

TEST_F(KeyAdoptionTest, ItIsNoOrphanOfTheClientThatItsLabelNames) {
  const auto kid = Make({1});
  {
    auto replica = Start();
    ASSERT_TRUE(Adopt(replica, "orders", Request({1}, kid)));
  }
  auto replica = Start({Named("orders"), Named("vendor")});
  const auto strays = FindStrays(hsm_.token(), {"orders", "vendor"}, replica.ledger().Read()->ledgers);
  ASSERT_TRUE(strays);
  EXPECT_TRUE(strays->empty());
  ASSERT_TRUE(RemoveStrays(hsm_.token(), replica.ledger(), "vendor"));
  EXPECT_TRUE(IsOnToken({1}));
}

TEST_F(KeyAdoptionTest, AGeneratedKeyIsNotFoundUnderAnotherLabel) {
  auto replica = Start();
  auto ledger = *replica.ledger().Take("orders");
  ClientLedger next{.client_id = "orders", .version = 1, .previous = "", .keys = {}, .requests = {}};
  next.keys.push_back({.kid = Make({1}), .algorithm = kAlgorithms.data(), .id = {1}, .certificates = {}});
  ASSERT_TRUE(ledger->Commit(next));
  ledger.reset();
  static_cast<void>(replica.ring().Refresh());
  EXPECT_FALSE(replica.ring().Snapshot()->at("orders").keys.at(0).key);
}

}  // namespace
}  // namespace assertion
