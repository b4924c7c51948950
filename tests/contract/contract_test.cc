// What every PKCS#11 token must do for us. It runs on each kind of token that there is, and on the one that fails as it
// is told, told nothing: a fake that nothing proves, lies.

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "contract/token_under_test.h"
#include "x509/certifier.h"
#include "x509/verifier.h"

namespace assertion {
namespace {

const Algorithm& kRs256 = kAlgorithms[0];

class ContractTest : public testing::TestWithParam<TokenUnderTest> {
 protected:
  p11::HsmToken& token() { return fresh_->token(); }

  Result<TokenKey> Generate(const Bytes& id, const std::string& label = "orders", const Algorithm& algorithm = kRs256) {
    return token().GenerateKeyPair(
        {.label = label, .id = id, .algorithm = &algorithm, .bits = algorithm.default_key_bits()});
  }

  // Whether a session of its own signs with the key, and the public key that was shown at its birth says so.
  void ExpectSigns(const TokenKey& key) {
    auto session = token().OpenSigningSession();
    ASSERT_TRUE(session) << session.error().ToString();
    ExpectSigns(**session, key, "input");
  }

  static void ExpectSigns(SigningSession& session, const TokenKey& key, const std::string& input,
                          const Algorithm& algorithm = kRs256) {
    const auto signature = session.Sign(key.id, algorithm, input);
    ASSERT_TRUE(signature) << signature.error().ToString();
    const auto verifier = x509::Verifier::New(key.public_key, algorithm);
    ASSERT_TRUE(verifier) << verifier.error().ToString();
    EXPECT_TRUE(verifier->Verify(input, *signature));
    EXPECT_FALSE(verifier->Verify(input + ".", *signature));
  }

  x509::CertifiedKey CertifiedKey(const TokenKey& key, const Algorithm& algorithm) {
    return {.token = &token(), .id = key.id, .public_key = key.public_key, .algorithm = &algorithm};
  }

  void ExpectCertifies(const TokenKey& key, const Algorithm& algorithm) {
    const auto certifier = x509::Certifier::New(GetParam().module_path);
    ASSERT_TRUE(certifier) << certifier.error().ToString();
    const auto made = (*certifier)
                          ->SelfSign({.key = CertifiedKey(key, algorithm),
                                      .common_name = "orders",
                                      .subject_alt_names = {},
                                      .not_before = Time(std::chrono::seconds(1'800'000'000)),
                                      .not_after = Time(std::chrono::seconds(1'900'000'000))});
    ASSERT_TRUE(made) << made.error().ToString();
    EXPECT_EQ(made->certificate.public_key, key.public_key);
  }

  // Whether the token offers the algorithm although it lacks what that takes.
  static bool Lacks(const Algorithm& algorithm) {
    const auto& lacks = GetParam().lacks;
    return (algorithm.padding == Padding::kPss && lacks.contains(Lack::kPss)) ||
           (algorithm.curve != nullptr && algorithm.curve->name == "P-521" && lacks.contains(Lack::kP521));
  }

  const std::unique_ptr<FreshToken> fresh_ = GetParam().make();
};

TEST_P(ContractTest, ItSaysWhatItIs) {
  EXPECT_FALSE(token().info().serial.empty()) << "by which it is found again";
  EXPECT_FALSE(token().info().label.empty());
  EXPECT_TRUE(token().Supports(kRs256));
  EXPECT_TRUE(token().Check());
}

TEST_P(ContractTest, AKeyIsBornAsCustodyAsks) {
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
  EXPECT_EQ(required, 7);
}

TEST_P(ContractTest, WhatItSignsVerifiesWhateverItsLength) {
  const auto key = Generate({1});
  ASSERT_TRUE(key) << key.error().ToString();
  const auto session = token().OpenSigningSession();
  ASSERT_TRUE(session) << session.error().ToString();
  for (const std::size_t octets : {1U, 32U, 400U, 16'000U}) {
    ExpectSigns(**session, *key, std::string(octets, 'e'));
  }
}

// RSA keys do for every RSA algorithm, which saves making them.
TEST_P(ContractTest, EveryAlgorithmItOffersSignsAndCertifies) {
  std::map<std::string, TokenKey> keys;
  for (const auto& algorithm : kAlgorithms) {
    SCOPED_TRACE(algorithm.name);
    if (Lacks(algorithm)) {
      continue;  // below
    }
    EXPECT_EQ(token().Supports(algorithm), !token().MechanismOf(algorithm).empty());
    if (!token().Supports(algorithm)) {
      const auto refused = Generate({1}, "orders", algorithm);
      ASSERT_FALSE(refused);
      EXPECT_EQ(refused.error().code, Code::kFailedPrecondition);
      EXPECT_NE(refused.error().message.find("it makes them for RS256"), std::string::npos) << refused.error().message;
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

TEST_P(ContractTest, SessionsSignAtTheSameTimeWhileKeysComeAndGo) {
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

TEST_P(ContractTest, SessionsOpenAndCloseAtTheSameTime) {
  const auto& es256 = *FindAlgorithm("ES256");
  const auto key = Generate({1}, "orders", es256);
  ASSERT_TRUE(key) << key.error().ToString();
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      for (int n = 0; n < 50; ++n) {
        auto session = token().OpenSigningSession();
        ASSERT_TRUE(session) << session.error().ToString();
        ExpectSigns(**session, *key, std::to_string(i) + "/" + std::to_string(n), es256);
      }
    });
  }
}

TEST_P(ContractTest, WhatOneSessionMakesAnotherSees) {
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

TEST_P(ContractTest, ClosingASessionDoesNotLogOut) {
  const auto key = Generate({1});
  ASSERT_TRUE(key) << key.error().ToString();
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(token().OpenSigningSession());
  }
  EXPECT_TRUE(token().Check());
  EXPECT_EQ(token().Read({"orders"})->keys.size(), 1U) << "private objects are seen by the logged in only";
  ExpectSigns(*key);
}

TEST_P(ContractTest, AnIdIsNeverUsedTwice) {
  ASSERT_TRUE(Generate({1}));
  const auto again = Generate({1});
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Code::kAlreadyExists);
}

TEST_P(ContractTest, AKeyThatIsDestroyedSignsForNobody) {
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
  EXPECT_NE(anew.error().detail.find("C_FindObjects: no private key with CKA_ID 01"), std::string::npos);
  const auto left = token().Read({"orders"});
  ASSERT_TRUE(left) << left.error().ToString();
  EXPECT_TRUE(left->keys.empty());
  EXPECT_TRUE(left->public_keys.empty());
}

TEST_P(ContractTest, OpenSslSignsWithItThroughTheProviderOrIsSeenNotTo) {
  const auto key = Generate({1});
  ASSERT_TRUE(key) << key.error().ToString();
  const auto certifier = x509::Certifier::New(GetParam().module_path);
  ASSERT_TRUE(certifier) << certifier.error().ToString();
  const auto tried = (*certifier)->TryProvider(CertifiedKey(*key, kRs256));
  if (GetParam().lacks.contains(Lack::kProvider)) {
    EXPECT_FALSE(tried) << "no lack any more";
  } else {
    EXPECT_TRUE(tried) << tried.error().ToString();
  }
  ExpectCertifies(*key, kRs256);
  ExpectSigns(*key);
}

TEST_P(ContractTest, AfterAReloadTheSameKeyIsFoundAgain) {
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

// Of tokens that store what is given to them.
class StoredObjectsContractTest : public ContractTest {};

TEST_P(StoredObjectsContractTest, ACertificateStandsBesideItsKey) {
  ASSERT_TRUE(Generate({1}));
  const Bytes der = {0x30, 0x00};
  ASSERT_TRUE(token().StoreCertificate("orders", Bytes{1}, der, der));
  const auto found = token().Read({"orders"});
  ASSERT_TRUE(found) << found.error().ToString();
  ASSERT_EQ(found->certificates.size(), 1U);
  EXPECT_EQ(found->certificates.front().value, der);
  EXPECT_EQ(found->certificates.front().id, Bytes{1});
  EXPECT_TRUE(token().Read({"other"})->certificates.empty());
}

TEST_P(StoredObjectsContractTest, DataIsFoundByApplicationAndLabelUntilItIsDestroyed) {
  ASSERT_TRUE(token().StoreData("app", "one", "first"));
  ASSERT_TRUE(token().StoreData("app", "two", "second"));
  EXPECT_TRUE(token().FindData("other", "")->empty());
  EXPECT_EQ(token().FindData("app", "")->size(), 2U);
  const auto two = token().FindData("app", "two");
  ASSERT_TRUE(two) << two.error().ToString();
  ASSERT_EQ(two->size(), 1U);
  EXPECT_EQ(two->front().value, "second");
  EXPECT_TRUE(two->front().is_private);
  ASSERT_TRUE(token().DestroyObject(two->front().handle));
  const auto again = token().DestroyObject(two->front().handle);
  EXPECT_TRUE(again) << "gone already: " << again.error().ToString();
  EXPECT_EQ(token().FindData("app", "")->size(), 1U);
}

// SoftHSM2 2.6.1 loses an object, or fails with CKR_GENERAL_ERROR, when one thread searches while another makes one.
TEST_P(StoredObjectsContractTest, ObjectsAreMadeAndSeenWhileOthersLook) {
  constexpr int kObjects = 400;
  constexpr int kKeys = 8;  // tpm2-abrmd has room for few
  std::vector<std::jthread> looking;
  for (int i = 0; i < 2; ++i) {
    looking.emplace_back([&](const std::stop_token& done) {
      while (!done.stop_requested()) {
        EXPECT_TRUE(token().FindData("assertiond test", {}));
        EXPECT_TRUE(token().Read({"orders"}));
      }
    });
  }
  for (int i = 0; i < kObjects && !HasFailure(); ++i) {
    const auto label = std::to_string(i % 2);
    ASSERT_TRUE(token().StoreData("assertiond test", label, "value"));
    const auto found = token().FindData("assertiond test", label);
    ASSERT_TRUE(found);
    ASSERT_EQ(found->size(), 1U) << "object " << i;
    ASSERT_TRUE(token().DestroyObject(found->front().handle));
  }
  for (int i = 0; i < kKeys && !HasFailure(); ++i) {
    const Bytes id = {static_cast<std::uint8_t>(i + 1)};
    const auto key =
        token().GenerateKeyPair({.label = "orders", .id = id, .algorithm = FindAlgorithm("ES256"), .bits = 0});
    ASSERT_TRUE(key) << "key " << i << ": " << key.error().ToString();
    const auto seen = token().Read({"orders"});
    ASSERT_TRUE(seen);
    EXPECT_EQ(seen->keys.size(), 1U) << "key " << i;
    ASSERT_TRUE(token().DestroyKey(id));
  }
}

TEST_P(StoredObjectsContractTest, DataComesBackAsItWasThroughAReload) {
  std::string value;
  for (int i = 0; i < 16'000; ++i) {
    value += static_cast<char>(i);
  }
  ASSERT_TRUE(token().StoreData("app", "large", value));
  ASSERT_TRUE(token().Reconnect(Reconnection::kReload));
  const auto found = token().FindData("app", "large");
  ASSERT_TRUE(found) << found.error().ToString();
  ASSERT_EQ(found->size(), 1U);
  EXPECT_EQ(found->front().value, value);
}

TEST_P(StoredObjectsContractTest, MoreObjectsAreFoundThanOneCallTells) {
  for (int i = 0; i < 150; ++i) {
    ASSERT_TRUE(token().StoreData("app", std::to_string(i), "x"));
  }
  EXPECT_EQ(token().FindData("app", "")->size(), 150U);
}

// Of tokens that do not: they say so, and nothing of it stays.
class NoStoredObjectsContractTest : public ContractTest {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(NoStoredObjectsContractTest);

TEST_P(NoStoredObjectsContractTest, WhatItCannotStoreItRefuses) {
  ASSERT_TRUE(Generate({1}));
  const Bytes der = {0x30, 0x00};
  for (const auto& stored :
       {token().StoreData("app", "one", "first"), token().StoreCertificate("orders", Bytes{1}, der, der)}) {
    ASSERT_FALSE(stored);
    EXPECT_EQ(stored.error().code, Code::kInternal) << "not UNAVAILABLE, which says: try again";
    EXPECT_NE(stored.error().detail.find("C_CreateObject"), std::string::npos);
  }
  EXPECT_TRUE(token().FindData("app", "")->empty());
  EXPECT_TRUE(token().Read({"orders"})->certificates.empty());
  EXPECT_TRUE(token().Check());
}

// Tokens that sign with RSASSA-PSS by decrypting do not list the mechanism, and our keys do not decrypt.
class NoPssContractTest : public ContractTest {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(NoPssContractTest);

TEST_P(NoPssContractTest, MakesNoKeyForIt) {
  for (const auto* name : {"PS256", "PS384", "PS512"}) {
    const auto key = Generate({1}, "orders", *FindAlgorithm(name));
    ASSERT_FALSE(key);
    EXPECT_EQ(key.error().code, Code::kFailedPrecondition);
    EXPECT_TRUE(key.error().message.contains("the HSM makes no keys for")) << key.error().message;
    EXPECT_EQ(token().MechanismOf(*FindAlgorithm(name)), "");
  }
  EXPECT_TRUE(token().Read({"orders"})->keys.empty());
}

// Of tokens that show no point of P-521 which can be read: its keys are refused at birth, and nothing of them stays.
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

std::vector<TokenUnderTest> Those(Lack what, bool lack) {
  auto tokens = TokensUnderTest();
  std::erase_if(tokens, [&](const TokenUnderTest& token) { return token.lacks.contains(what) != lack; });
  return tokens;
}

const auto kName = [](const auto& info) { return info.param.name; };

INSTANTIATE_TEST_SUITE_P(Token, ContractTest, testing::ValuesIn(TokensUnderTest()), kName);
INSTANTIATE_TEST_SUITE_P(Token, StoredObjectsContractTest, testing::ValuesIn(Those(Lack::kStoredObjects, false)),
                         kName);
INSTANTIATE_TEST_SUITE_P(Token, NoStoredObjectsContractTest, testing::ValuesIn(Those(Lack::kStoredObjects, true)),
                         kName);
INSTANTIATE_TEST_SUITE_P(Token, NoPssContractTest, testing::ValuesIn(Those(Lack::kPss, true)), kName);
INSTANTIATE_TEST_SUITE_P(Token, NoP521ContractTest, testing::ValuesIn(Those(Lack::kP521, true)), kName);

}  // namespace
}  // namespace assertion
