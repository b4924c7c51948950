// KeyCustodian::Import: a private key that another party made becomes a client's key.

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "jws/thumbprint.h"
#include "keys/evidence.h"
#include "made_private_key.h"
#include "replica.h"
#include "softhsm.h"
#include "wrapped_token.h"
#include "x509/private_key.h"

namespace assertion {
namespace {

using std::chrono::seconds;

class KeyImportTest : public testing::Test {
 protected:
  KeyImportTest() : certifier_(*x509::Certifier::New(SOFTHSM2_MODULE)) {}

  Replica Start() { return {hsm_.token(), *certifier_, {Named("orders"), Named("billing", Binding::kJwks)}, now_}; }

  static PrivateKey Read(const MadePrivateKey& made) { return std::move(*x509::ParsePkcs8(made.Pkcs8())); }

  static Result<std::string> Import(Replica& replica, const PrivateKey& key, const char* algorithm = "RS256") {
    auto request = Replica::NewKey();
    request.algorithm = FindAlgorithm(algorithm);
    return replica.custodian().Import(replica.Change("orders"), request, key);
  }

  std::size_t KeysOnToken() { return hsm_.token().Read({"orders"})->keys.size(); }

  LoggedInSoftHsm hsm_;
  std::unique_ptr<x509::Certifier> certifier_;
  Time now_{seconds(1'800'000'000)};
};

TEST_F(KeyImportTest, AFirstKeySignsAtOnceAndAfterARestartAndEvidenceSaysWhereItWasBorn) {
  const auto key = Read(MadePrivateKey(2048));
  const auto kid = jws::JwkThumbprint(key.public_key);
  {
    auto replica = Start();
    const auto imported = Import(replica, key);
    ASSERT_TRUE(imported) << imported.error().ToString();
    EXPECT_EQ(*imported, kid);
    EXPECT_EQ((*replica.ring().SigningKeyOf("orders"))->kid, kid);
  }
  auto restarted = Start();
  EXPECT_EQ(restarted.Record("orders", kid).origin, KeyOrigin::kImported);
  const auto admitted = restarted.ring().SigningKeyOf("orders");
  ASSERT_TRUE(admitted) << admitted.error().ToString();
  EXPECT_EQ((*admitted)->public_key, key.public_key);
  EXPECT_EQ((*admitted)->origin, KeyOrigin::kImported);
  EXPECT_EQ((*admitted)->chain.size(), 1U);
  const auto evidence = MakeEvidence(hsm_.token(), "orders", *restarted.ring().Find("orders", kid), 1, now_);
  ASSERT_TRUE(evidence) << evidence.error().ToString();
  const auto verified = VerifyEvidence(*evidence);
  EXPECT_TRUE(verified->ok());
  EXPECT_TRUE(verified->report.contains("imported, born outside")) << verified->report;
  EXPECT_TRUE(std::ranges::any_of(verified->findings, [](const auto& finding) {
    return finding.text == "CKA_LOCAL: does not count, the key was imported";
  }));
}

// A ledger that says "generated" or "adopted" of a key from outside does not let it sign.
TEST_F(KeyImportTest, OnlyTheLedgersWordLetsAKeySignThatWasNotBornInTheToken) {
  const auto key = Read(MadePrivateKey("P-256"));
  for (const auto origin : {KeyOrigin::kGenerated, KeyOrigin::kAdopted, KeyOrigin::kImported}) {
    auto replica = Start();
    const auto kid = Import(replica, key, "ES256");
    ASSERT_TRUE(kid) << kid.error().ToString();
    {
      const auto hold = replica.ledger().Take("orders");
      auto next = (*hold)->current();
      ++next.version;
      next.previous = HashOf((*hold)->current());
      next.keys.front().origin = origin;
      ASSERT_TRUE((*hold)->Commit(next));
    }
    auto restarted = Start();
    EXPECT_EQ(restarted.ring().SigningKeyOf("orders").has_value(), origin == KeyOrigin::kImported);
    const auto entry = restarted.ring().Find("orders", *kid);
    ASSERT_TRUE(entry) << entry.error().ToString();
    EXPECT_EQ(entry->flaw.has_value(), origin != KeyOrigin::kImported);
    if (entry->flaw) {
      EXPECT_TRUE(entry->flaw->message.contains("CKA_LOCAL is false")) << entry->flaw->message;
    }
    const auto destroyed = restarted.custodian().Destroy(restarted.Change("orders", /*forced=*/true), *kid);
    ASSERT_TRUE(destroyed) << destroyed.error().ToString();
  }
  EXPECT_EQ(KeysOnToken(), 0U);
}

TEST_F(KeyImportTest, APrivateKeyThatItsPublicHalfDoesNotVerifyLeavesNothingBehind) {
  auto replica = Start();
  auto key = Read(MadePrivateKey("P-256"));
  key.public_key = Read(MadePrivateKey("P-256")).public_key;
  const auto imported = Import(replica, key, "ES256");
  ASSERT_FALSE(imported);
  EXPECT_EQ(KeysOnToken(), 0U);
  EXPECT_EQ(replica.VersionOf("orders"), 0);
  EXPECT_TRUE(hsm_.token().Read({"orders"})->public_keys.empty());
}

TEST_F(KeyImportTest, TheSameKeyIsTakenOnce) {
  auto replica = Start();
  const auto key = Read(MadePrivateKey("P-256"));
  ASSERT_TRUE(Import(replica, key, "ES256"));
  const auto again = Import(replica, key, "ES256");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Code::kFailedPrecondition);
  EXPECT_TRUE(again.error().message.contains("has this key already")) << again.error().message;
  EXPECT_EQ(KeysOnToken(), 1U);
}

TEST_F(KeyImportTest, TheLimitsOfNewKeysCount) {
  auto replica = Start();
  replica.Generate("orders");
  auto request = Replica::NewKey();
  request.limits.per_client = 1;
  const auto full = replica.custodian().Import(replica.Change("orders"), request, Read(MadePrivateKey(2048)));
  ASSERT_FALSE(full);
  EXPECT_TRUE(full.error().message.contains("key_limits.per_client")) << full.error().message;
  request.limits = {.per_client = 64, .generations_per_hour = 1, .client_generations_per_hour = 1};
  ASSERT_TRUE(replica.custodian().Import(replica.Change("orders"), request, Read(MadePrivateKey(2048))));
  const auto often = replica.custodian().Import(replica.Change("orders"), request, Read(MadePrivateKey(2048)));
  ASSERT_FALSE(often);
  EXPECT_EQ(often.error().code, Code::kResourceExhausted);
  EXPECT_EQ(KeysOnToken(), 2U);
}

}  // namespace
}  // namespace assertion
