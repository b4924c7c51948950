// Keys: their birth, their signatures and their end.

#include <atomic>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "contract/contract.h"

namespace assertion {
namespace {

class KeysContractTest : public ContractTest {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(KeysContractTest);

TEST_P(ContractTest, ItSaysWhatItIs) {
  EXPECT_FALSE(token().info().serial.empty()) << "by which it is found again";
  EXPECT_FALSE(token().info().label.empty());
  EXPECT_TRUE(token().Supports(kRs256));
  EXPECT_TRUE(token().Check());
}

TEST_P(KeysContractTest, AKeyIsBornAsCustodyAsks) {
  const auto key = Generate({1, 2, 3});
  ASSERT_TRUE(key) << key.error().ToString();
  EXPECT_FALSE(key->flaw);
  EXPECT_EQ(key->id, (Bytes{1, 2, 3}));
  EXPECT_EQ(key->label, "orders");
  ASSERT_TRUE(Fits(key->public_key, kRs256));
  EXPECT_EQ(std::get<RsaPublicKey>(key->public_key).modulus.size(), 256U);
  EXPECT_EQ(std::get<RsaPublicKey>(key->public_key).exponent, (Bytes{1, 0, 1}));
  int required = 0;
  for (const auto& attribute : key->attributes) {
    EXPECT_TRUE(attribute.ok()) << attribute.name;
    required += attribute.required ? 1 : 0;
  }
  EXPECT_EQ(required, 11);
}

TEST_P(KeysContractTest, WhatItSignsVerifiesWhateverItsLength) {
  const auto key = Generate({1});
  ASSERT_TRUE(key) << key.error().ToString();
  const auto session = token().OpenSigningSession();
  ASSERT_TRUE(session) << session.error().ToString();
  for (const std::size_t octets : {1U, 32U, 400U, 16'000U}) {
    ExpectSigns(**session, *key, std::string(octets, 'e'));
  }
}

// One RSA key serves every RSA algorithm, which saves time.
TEST_P(KeysContractTest, EveryAlgorithmItOffersSignsAndCertifies) {
  std::map<std::string, TokenKey> keys;
  for (const auto& algorithm : kAlgorithms) {
    SCOPED_TRACE(algorithm.name);
    if (algorithm.curve != nullptr && algorithm.curve->name == "P-521" && Lacks(Lack::kP521)) {
      continue;  // seen to be refused in NoP521ContractTest
    }
    EXPECT_EQ(token().Supports(algorithm), !token().MechanismOf(algorithm).empty());
    if (!token().Supports(algorithm)) {
      const auto refused = Generate({1}, "orders", algorithm);
      ASSERT_FALSE(refused);
      EXPECT_EQ(refused.error().code, Code::kFailedPrecondition);
      EXPECT_TRUE(refused.error().message.contains("it makes them for RS256")) << refused.error().message;
      continue;
    }
    const auto kind = std::string(algorithm.curve == nullptr ? "RSA" : algorithm.curve->name);
    if (!keys.contains(kind)) {
      auto key = Generate({static_cast<std::uint8_t>(keys.size() + 1)}, "orders", algorithm);
      ASSERT_TRUE(key) << key.error().ToString();
      for (const auto& attribute : key->attributes) {
        EXPECT_TRUE(attribute.ok()) << attribute.name;
      }
      keys.emplace(kind, std::move(*key));
    }
    const auto& key = keys.at(kind);
    EXPECT_TRUE(Fits(key.public_key, algorithm)) << KindOf(key.public_key);
    EXPECT_EQ(KeyBits(key.public_key), algorithm.default_key_bits());
    const auto session = token().OpenSigningSession();
    ASSERT_TRUE(session) << session.error().ToString();
    for (const std::size_t octets : {1U, 400U, 16'000U}) {
      ExpectSigns(**session, key, std::string(octets, 'e'), algorithm);
    }
    ExpectCertifies(key, algorithm);
  }
  const auto found = token().Read({"orders"});
  ASSERT_TRUE(found) << found.error().ToString();
  EXPECT_EQ(found->keys.size(), keys.size());
  for (const auto& key : found->keys) {
    EXPECT_FALSE(key.flaw) << key.flaw->ToString();
    EXPECT_EQ(key.public_key, keys.at(KindOf(key.public_key)).public_key);
  }
}

TEST_P(KeysContractTest, SessionsSignAtTheSameTimeWhileKeysComeAndGo) {
  const auto key = Generate({1});
  ASSERT_TRUE(key) << key.error().ToString();
  std::atomic<bool> stop = false;
  std::atomic<int> sessions = 0;
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      auto session = token().OpenSigningSession();
      ++sessions;
      ASSERT_TRUE(session) << session.error().ToString();
      for (int n = 0; n < 10 || !stop; ++n) {
        ExpectSigns(**session, *key, std::to_string(i) + "/" + std::to_string(n));
      }
    });
  }
  while (sessions < 4) {
    std::this_thread::yield();
  }
  EXPECT_TRUE(Generate({2}));
  EXPECT_TRUE(token().DestroyKey(Bytes{2}));
  stop = true;
}

TEST_P(KeysContractTest, SessionsOpenAndCloseAtTheSameTime) {
  const auto& algorithm = fast();
  const auto key = Generate({1}, "orders", algorithm);
  ASSERT_TRUE(key) << key.error().ToString();
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      for (int n = 0; n < 50; ++n) {
        auto session = token().OpenSigningSession();
        ASSERT_TRUE(session) << session.error().ToString();
        ExpectSigns(**session, *key, std::to_string(i) + "/" + std::to_string(n), algorithm);
      }
    });
  }
}

TEST_P(KeysContractTest, WhatOneSessionMakesAnotherSees) {
  const auto made = Generate({1});
  ASSERT_TRUE(made) << made.error().ToString();
  ASSERT_TRUE(Generate({2}, "billing"));
  const auto found = token().Read({"orders"});
  ASSERT_TRUE(found) << found.error().ToString();
  ASSERT_EQ(found->keys.size(), 1U) << "of other labels nothing";
  EXPECT_FALSE(found->keys.front().flaw);
  EXPECT_EQ(found->keys.front().id, Bytes{1});
  EXPECT_EQ(found->keys.front().private_key, made->private_key);
  EXPECT_EQ(found->keys.front().public_key, made->public_key);
  ASSERT_EQ(found->public_keys.size(), 1U);
  EXPECT_EQ(found->public_keys.front().public_key, made->public_key);
  EXPECT_TRUE(found->unguarded.empty());
}

TEST_P(KeysContractTest, ClosingASessionDoesNotLogOut) {
  const auto key = Generate({1});
  ASSERT_TRUE(key) << key.error().ToString();
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(token().OpenSigningSession());
  }
  EXPECT_TRUE(token().Check());
  EXPECT_EQ(token().Read({"orders"})->keys.size(), 1U) << "private objects are seen by the logged in only";
  ExpectSigns(*key);
}

TEST_P(KeysContractTest, AnIdIsNeverUsedTwice) {
  ASSERT_TRUE(Generate({1}));
  const auto again = Generate({1});
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Code::kAlreadyExists);
}

TEST_P(KeysContractTest, AKeyThatIsDestroyedSignsForNobody) {
  const auto key = Generate({1});
  ASSERT_TRUE(key) << key.error().ToString();
  const auto session = token().OpenSigningSession();
  ASSERT_TRUE(session) << session.error().ToString();
  ExpectSigns(**session, *key, "while it is there");
  ASSERT_TRUE(token().DestroyKey(Bytes{1}));
  EXPECT_FALSE((*session)->Sign(key->id, kRs256, "by its handle"));
  const auto anew = (*token().OpenSigningSession())->Sign(key->id, kRs256, "by its id");
  ASSERT_FALSE(anew);
  EXPECT_EQ(anew.error().code, Code::kLedgerUnusable);
  EXPECT_TRUE(anew.error().message.starts_with("the key is not on the token any more")) << anew.error().ToString();
  const auto left = token().Read({"orders"});
  ASSERT_TRUE(left) << left.error().ToString();
  EXPECT_TRUE(left->keys.empty());
  EXPECT_TRUE(left->public_keys.empty());
}

TEST_P(KeysContractTest, OpenSslSignsWithItThroughTheProviderOrIsSeenNotTo) {
  const auto key = Generate({1});
  ASSERT_TRUE(key) << key.error().ToString();
  const auto certifier = x509::Certifier::New(GetParam().module_path, GetParam().init_args);
  ASSERT_TRUE(certifier) << certifier.error().ToString();
  const auto tried = (*certifier)->TryProvider(CertifiedKey(*key, kRs256));
  if (Lacks(Lack::kProvider)) {
    EXPECT_FALSE(tried) << "it works now: take kProvider out of this token's lacks";
  } else {
    EXPECT_TRUE(tried) << tried.error().ToString();
  }
  ExpectCertifies(*key, kRs256);
  ExpectSigns(*key);
}

TEST_P(KeysContractTest, AfterAReloadTheSameKeyIsFoundAgain) {
  const auto key = Generate({1});
  ASSERT_TRUE(key) << key.error().ToString();
  auto session = token().OpenSigningSession();
  ASSERT_TRUE(session) << session.error().ToString();
  const auto reloaded = token().Reconnect(Reconnection::kReload);
  ASSERT_TRUE(reloaded) << reloaded.error().ToString();
  EXPECT_TRUE(token().Check());
  const auto stale = (*session)->Sign(key->id, kRs256, "by a session of before");
  ASSERT_FALSE(stale);
  EXPECT_EQ(stale.error().code, Code::kUnavailable);
  ExpectSigns(*key);
  EXPECT_EQ(token().Read({"orders"})->keys.at(0).public_key, key->public_key);
}

// Tokens that show no readable point of P-521: its keys are refused at birth, and nothing of them stays.
class NoP521ContractTest : public ContractTest {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(NoP521ContractTest);

TEST_P(NoP521ContractTest, ItsKeysAreRefusedAtBirth) {
  const auto key = Generate({1}, "orders", *FindAlgorithm("ES512"));
  ASSERT_FALSE(key);
  EXPECT_EQ(key.error().code, Code::kKeyUnproven) << key.error().ToString();
  const auto left = token().Read({"orders"});
  ASSERT_TRUE(left) << left.error().ToString();
  EXPECT_TRUE(left->keys.empty());
  EXPECT_TRUE(left->public_keys.empty());
}

// Tokens that make no key which custody accepts say why, and nothing of an attempt stays.
class NoKeysContractTest : public ContractTest {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(NoKeysContractTest);

TEST_P(NoKeysContractTest, NoKeyIsMadeAndTheRestGoesOn) {
  const auto key = Generate({1});
  ASSERT_FALSE(key);
  EXPECT_EQ(key.error().code, Code::kInternal) << "not UNAVAILABLE, which says: try again";
  EXPECT_TRUE(key.error().detail.contains("C_GenerateKeyPair")) << key.error().ToString();
  const auto left = token().Read({"orders"});
  ASSERT_TRUE(left) << left.error().ToString();
  EXPECT_TRUE(left->keys.empty());
  EXPECT_TRUE(left->public_keys.empty());
  EXPECT_TRUE(token().Check());
}

INSTANTIATE_TEST_SUITE_P(Token, ContractTest, testing::ValuesIn(TokensUnderTest()), kTokenName);
INSTANTIATE_TEST_SUITE_P(Token, KeysContractTest, testing::ValuesIn(TokensThatMakeKeys()), kTokenName);
INSTANTIATE_TEST_SUITE_P(Token, NoP521ContractTest, testing::ValuesIn(TokensThat(true, Lack::kP521)), kTokenName);
INSTANTIATE_TEST_SUITE_P(Token, NoKeysContractTest, testing::ValuesIn(TokensThat(true, Lack::kKeys)), kTokenName);

}  // namespace
}  // namespace assertion
