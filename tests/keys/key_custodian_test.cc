#include "keys/key_custodian.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <set>
#include <thread>

#include "certificate_authority.h"
#include "jws/base64url.h"
#include "keys/evidence.h"
#include "keys/publication.h"
#include "keys/stray.h"
#include "replica.h"
#include "softhsm.h"
#include "wrapped_token.h"

namespace assertion {
namespace {

using std::chrono::seconds;

class KeyCustodianTest : public testing::Test {
 protected:
  KeyCustodianTest() : certifier_(*x509::Certifier::New(SOFTHSM2_MODULE)) {}

  Replica Start(const std::string& holder = "replica") { return Start(hsm_.token(), holder); }
  Replica Start(Token& token, const std::string& holder = "replica") {
    return {token, *certifier_, {Named("orders"), Named("billing", Binding::kJwks)}, now_, holder};
  }

  std::vector<Stray> Strays(Ledger& ledger) {
    return *FindStrays(hsm_.token(), {"orders", "billing"}, ledger.Read()->ledgers);
  }

  LoggedInSoftHsm hsm_;
  std::unique_ptr<x509::Certifier> certifier_;
  Time now_{seconds(1'800'000'000)};
};

TEST_F(KeyCustodianTest, TheFirstKeySignsAtOnceTheNextIsStaged) {
  auto replica = Start();
  const auto first = replica.Generate("orders");
  EXPECT_EQ((*replica.ring().SigningKeyOf("orders"))->kid, first);
  const auto second = replica.Generate("orders");
  EXPECT_EQ(replica.Record("orders", second).StateAt(now_), KeyState::kStaged);
  EXPECT_EQ((*replica.ring().SigningKeyOf("orders"))->kid, first);
  EXPECT_EQ(replica.VersionOf("orders"), 2);
  EXPECT_EQ(replica.VersionOf("billing"), 0);
}

TEST_F(KeyCustodianTest, WhatIsMadeIsThereAfterARestart) {
  auto replica = Start();
  const auto kid = replica.Generate("orders");
  const auto record = replica.Record("orders", kid);
  auto again = Start();
  EXPECT_EQ(again.Record("orders", kid), record);
  EXPECT_EQ(again.ring().Find("orders", kid)->key->chain.size(), 1U);
  EXPECT_TRUE(Strays(again.ledger()).empty());
}

TEST_F(KeyCustodianTest, AStaleVersionIsAborted) {
  auto replica = Start();
  const auto stale = replica.Change("orders");
  replica.Generate("orders");
  const auto refused = replica.custodian().Generate(stale, Replica::NewKey());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kAborted);
  EXPECT_EQ(hsm_.token().Read({"orders"})->keys.size(), 1U);
}

TEST_F(KeyCustodianTest, ARepeatedRequestDoesNotActTwice) {
  auto replica = Start();
  auto change = replica.Change("orders");
  change.request_id = "7d1f";
  change.digest = "a";
  const auto first = replica.custodian().Generate(change, Replica::NewKey());
  const auto again = Start().custodian().Generate(change, Replica::NewKey());
  ASSERT_TRUE(first && again);
  EXPECT_EQ(*first, *again);
  EXPECT_EQ(hsm_.token().Read({"orders"})->keys.size(), 1U);
  change.digest = "b";
  const auto other = replica.custodian().Generate(change, Replica::NewKey());
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, Code::kInvalidArgument);
}

// Fails while `lost` is set, which a new key pair does once `dies` is.
class DyingToken final : public WrappedToken {
 public:
  using WrappedToken::Read;
  using WrappedToken::WrappedToken;
  Result<TokenContents> Read(const std::set<std::string, std::less<>>& labels, const std::set<Bytes>& ids) override {
    return lost ? Fail(Code::kTokenAbsent, "the HSM is not available") : WrappedToken::Read(labels, ids);
  }
  Result<TokenKey> GenerateKeyPair(const NewKey& key) override {
    lost = dies;
    return WrappedToken::GenerateKeyPair(key);
  }

  bool dies = false;
  bool lost = false;
};

TEST_F(KeyCustodianTest, AChangeThatIsMadeAndCannotBeShownSaysSoAndARepetitionShowsIt) {
  DyingToken token(hsm_.token());
  auto replica = Start(token);
  replica.Generate("billing");
  auto change = replica.Change("billing");
  token.dies = true;
  const auto unseen = replica.custodian().Rotate(change, Replica::NewKey(), {});
  ASSERT_FALSE(unseen);
  EXPECT_EQ(unseen.error().code, Code::kLedgerUnusable);
  EXPECT_EQ(unseen.error().message,
            "the change is made, but the keys cannot be read since (the HSM is not available): do not repeat it; look "
            "at the client's keys later");
  token.dies = token.lost = false;
  ASSERT_TRUE(replica.ring().Refresh());
  change = replica.Change("billing");
  EXPECT_EQ(change.expected_version, 2) << "it is made";
  change.request_id = "7d1f";
  change.digest = "a";
  token.dies = true;
  const auto again = replica.custodian().Rotate(change, Replica::NewKey(), {});
  ASSERT_FALSE(again);
  EXPECT_TRUE(again.error().message.ends_with("repeated under its request_id it is not made again"));
  token.dies = token.lost = false;
  const auto made = replica.custodian().Rotate(change, Replica::NewKey(), {});
  ASSERT_TRUE(made) << made.error().ToString();
  EXPECT_EQ(replica.VersionOf("billing"), 3);
  EXPECT_EQ(hsm_.token().Read({"billing"})->keys.size(), 3U);
}

TEST_F(KeyCustodianTest, RotationByJwksOverlaps) {
  auto replica = Start();
  const auto old_kid = replica.Generate("billing");
  now_ += seconds(100);
  const auto new_kid = replica.custodian().Rotate(replica.Change("billing"), Replica::NewKey(), {});
  ASSERT_TRUE(new_kid) << new_kid.error().ToString();
  const auto published = [&] { return JwkSet(replica.ring().Snapshot()->at("billing"), now_); };
  EXPECT_EQ((*replica.ring().SigningKeyOf("billing"))->kid, old_kid);
  EXPECT_NE(published().find(*new_kid), std::string::npos);
  now_ += seconds(900);
  EXPECT_EQ((*replica.ring().SigningKeyOf("billing"))->kid, *new_kid);
  EXPECT_NE(published().find(old_kid), std::string::npos);
  now_ += seconds(300);
  EXPECT_EQ(published().find(old_kid), std::string::npos);
}

TEST_F(KeyCustodianTest, RotationGoesFromOneAlgorithmToAnother) {
  auto replica = Start();
  auto old_kid = replica.Generate("billing");
  for (const auto* name : {"ES256", "PS512", "EdDSA", "ES512"}) {
    SCOPED_TRACE(name);
    const auto* algorithm = FindAlgorithm(name);
    auto wanted = Replica::NewKey();
    wanted.algorithm = algorithm;
    wanted.bits = algorithm->default_key_bits();
    const auto kid = replica.custodian().Rotate(replica.Change("billing"), wanted, {});
    ASSERT_TRUE(kid) << kid.error().ToString();
    const auto old_algorithm = replica.Record("billing", old_kid).algorithm;
    EXPECT_EQ((*replica.ring().SigningKeyOf("billing"))->algorithm, old_algorithm);
    now_ += seconds(900);
    const auto key = *replica.ring().SigningKeyOf("billing");
    EXPECT_EQ(key->kid, *kid);
    EXPECT_EQ(key->algorithm, algorithm);
    EXPECT_EQ(key->chain.at(0).public_key, key->public_key);
    EXPECT_NE(JwkSet(replica.ring().Snapshot()->at("billing"), now_).find(old_kid), std::string::npos) << "overlaps";
    EXPECT_EQ(Start().Record("billing", *kid).algorithm, algorithm) << "a restart knows it from the ledger";
    old_kid = *kid;
  }
}

TEST_F(KeyCustodianTest, RotationByCertificateWaitsForTheSwitch) {
  auto replica = Start();
  const auto old_kid = replica.Generate("orders");
  const auto new_kid = replica.custodian().Rotate(replica.Change("orders"), Replica::NewKey(), {});
  ASSERT_TRUE(new_kid);
  EXPECT_EQ(replica.Record("orders", *new_kid).StateAt(now_), KeyState::kPublished);
  now_ += seconds(86400);
  EXPECT_EQ((*replica.ring().SigningKeyOf("orders"))->kid, old_kid);
  ASSERT_TRUE(
      replica.custodian().Reschedule(replica.Change("orders"), *new_kid,
                                     {.publish_from = {}, .sign_from = now_, .sign_until = {}, .publish_until = {}}));
  EXPECT_EQ((*replica.ring().SigningKeyOf("orders"))->kid, *new_kid);
}

TEST_F(KeyCustodianTest, TheLastSigningKeyGoesOnlyByForce) {
  auto replica = Start();
  const auto kid = replica.Generate("orders");
  const auto refused = replica.custodian().Revoke(replica.Change("orders"), kid);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kFailedPrecondition);
  EXPECT_TRUE(replica.ring().SigningKeyOf("orders"));
  ASSERT_TRUE(replica.custodian().Revoke(replica.Change("orders", true), kid));
  EXPECT_FALSE(replica.ring().SigningKeyOf("orders"));
  EXPECT_EQ(replica.Record("orders", kid).StateAt(now_), KeyState::kWithdrawn);
}

TEST_F(KeyCustodianTest, RevokedOnceMoreAKeyStaysAsItIsAndSoDoesTheVersion) {
  auto replica = Start();
  const auto kid = replica.Generate("orders");
  ASSERT_TRUE(replica.custodian().Revoke(replica.Change("orders", true), kid));
  const auto record = replica.Record("orders", kid);
  const auto version = replica.VersionOf("orders");
  now_ += seconds(60);
  EXPECT_EQ(replica.custodian().Revoke(replica.Change("orders"), kid), kid);
  EXPECT_EQ(replica.Record("orders", kid), record);
  EXPECT_EQ(replica.VersionOf("orders"), version);
  auto outdated = replica.Change("orders");
  --outdated.expected_version;
  EXPECT_EQ(replica.custodian().Revoke(outdated, kid).error().code, Code::kAborted);
}

TEST_F(KeyCustodianTest, OnlyAWithdrawnKeyIsDestroyed) {
  auto replica = Start();
  const auto kid = replica.Generate("orders");
  EXPECT_EQ(replica.custodian().Destroy(replica.Change("orders"), kid).error().code, Code::kFailedPrecondition);
  ASSERT_TRUE(replica.custodian().Revoke(replica.Change("orders", true), kid));
  ASSERT_TRUE(replica.custodian().Destroy(replica.Change("orders"), kid));
  const auto contents = hsm_.token().Read({"orders"});
  EXPECT_TRUE(contents->keys.empty());
  EXPECT_TRUE(contents->public_keys.empty());
  EXPECT_TRUE(contents->certificates.empty());
  EXPECT_EQ(replica.ring().Find("orders", kid).error().code, Code::kNotFound);
}

TEST_F(KeyCustodianTest, AnotherReplicaSeesItAtItsRefresh) {
  auto one = Start("one");
  auto other = Start("other");
  const auto kid = one.Generate("orders");
  EXPECT_FALSE(other.ring().SigningKeyOf("orders"));
  ASSERT_TRUE(other.ring().Refresh());
  EXPECT_EQ((*other.ring().SigningKeyOf("orders"))->kid, kid);
}

TEST_F(KeyCustodianTest, OfTwoAdministratorsAtOnceOneWins) {
  auto one = Start("one");
  auto other = Start("other");
  std::array<Result<std::string>, 2> results;
  {
    std::jthread first([&] { results[0] = one.custodian().Generate(one.Change("orders"), Replica::NewKey()); });
    std::jthread second([&] { results[1] = other.custodian().Generate(other.Change("orders"), Replica::NewKey()); });
  }
  ASSERT_NE(results[0].has_value(), results[1].has_value());
  EXPECT_EQ((results[0] ? results[1] : results[0]).error().code, Code::kAborted);
  EXPECT_EQ(hsm_.token().Read({"orders"})->keys.size(), 1U);
  EXPECT_TRUE(Strays(one.ledger()).empty());
}

// Makes no certificate last.
class ForgetfulToken final : public WrappedToken {
 public:
  using WrappedToken::WrappedToken;
  Status StoreCertificate(std::string_view, BytesView, BytesView, BytesView) override {
    return Fail(Code::kUnavailable, "the HSM is not available; try again", "C_CreateObject");
  }
};

// NSS has one subject for each label.
class OneSubjectToken final : public WrappedToken {
 public:
  using WrappedToken::WrappedToken;
  Status StoreCertificate(std::string_view label, BytesView id, BytesView subject, BytesView der) override {
    constexpr int kLeaves = 2;  // of the new key, and of the one that is imported
    return ++stored_ <= kLeaves
               ? WrappedToken::StoreCertificate(label, id, subject, der)
               : Fail(Code::kInternal, "the HSM refused the operation", "C_CreateObject: CKR_ATTRIBUTE_VALUE_INVALID");
  }

 private:
  int stored_ = 0;
};

TEST_F(KeyCustodianTest, AnIssuersCertificateThatTheTokenDoesNotStoreIsNamed) {
  OneSubjectToken token(hsm_.token());
  auto replica = Start(token);
  const auto kid = replica.Generate("orders");
  const auto csr = replica.custodian().CreateCsr("orders", kid, "CN=orders", {});
  ASSERT_TRUE(csr) << csr.error().ToString();
  CertificateAuthority authority("Test Root", CertificateAuthority::kEc);
  const auto leaf = authority.Sign(*csr);
  const auto with_issuer =
      replica.custodian().ImportCertificate(replica.Change("orders"), kid, leaf + authority.certificate());
  ASSERT_FALSE(with_issuer);
  EXPECT_EQ(with_issuer.error().message,
            "certificates: the HSM does not store certificate 2, the issuer's, beside the key's: give the key's "
            "certificate alone");
  EXPECT_EQ(with_issuer.error().code, Code::kFailedPrecondition);
}

TEST_F(KeyCustodianTest, AFailedGenerationLeavesNothingBehind) {
  ForgetfulToken token(hsm_.token());
  auto replica = Start(token);
  const auto made = replica.custodian().Generate(replica.Change("orders"), Replica::NewKey());
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Code::kUnavailable);
  EXPECT_TRUE(hsm_.token().Read({"orders"})->keys.empty());
  EXPECT_EQ(replica.ledger().Read()->ledgers.count("orders"), 0U);
}

TEST_F(KeyCustodianTest, StraysAreFoundAndRemoved) {
  auto replica = Start();
  const auto kid = replica.Generate("orders");
  hsm_.MakeKey("orders", {1}, true, false);
  hsm_.MakeKey("somebody else", {2}, true, false);
  ASSERT_EQ(Strays(replica.ledger()).size(), 1U);
  const auto removed = RemoveStrays(hsm_.token(), replica.ledger(), "orders");
  ASSERT_TRUE(removed);
  ASSERT_EQ(removed->size(), 1U);
  EXPECT_EQ(removed->front().ToString(), "key pair with CKA_ID 01");
  EXPECT_TRUE(Strays(replica.ledger()).empty());
  EXPECT_TRUE(Start().ring().SigningKeyOf("orders"));
  EXPECT_EQ(hsm_.token().Read({"somebody else"})->keys.size(), 1U);
}

TEST_F(KeyCustodianTest, AnOrphanTakesNoKeyOfAnotherClientAlong) {
  auto replica = Start();
  const auto id = replica.Record("billing", replica.Generate("billing")).id;
  hsm_.MakeKey("orders", id, true, false);
  const auto removed = RemoveStrays(hsm_.token(), replica.ledger(), "orders");
  ASSERT_TRUE(removed);
  EXPECT_EQ(removed->size(), 2U) << "both halves: under that CKA_ID the ledger names another public key";
  EXPECT_TRUE(hsm_.token().Read({"orders"})->keys.empty());
  EXPECT_EQ(hsm_.token().Read({"billing"})->keys.size(), 1U);
  EXPECT_EQ(hsm_.token().Read({"billing"})->public_keys.size(), 1U);
}

// As a server just started describes its token.
class UntriedToken final : public WrappedToken {
 public:
  using WrappedToken::WrappedToken;
  TokenDescription Describe() const override {
    auto description = WrappedToken::Describe();
    description.trials.clear();
    return description;
  }
};

// What is ok and worth a look: the first words, up to the colon.
std::string Warnings(const Evidence& evidence) {
  std::string text;
  for (const auto& finding : evidence.findings) {
    if (finding.ok && finding.warns) {
      text += (text.empty() ? "" : ", ") + finding.text.substr(0, finding.text.find(':'));
    }
  }
  return text;
}

TEST_F(KeyCustodianTest, EvidenceWarnsOfCustodyThatWasNotTried) {
  auto replica = Start();
  const auto entry = *replica.ring().Find("orders", replica.Generate("orders"));
  UntriedToken token(hsm_.token());
  const auto evidence = VerifyEvidence(*MakeEvidence(token, "orders", entry, 1, now_));
  ASSERT_TRUE(evidence && evidence->ok());
  EXPECT_EQ(Warnings(*evidence), "attributes, custody");
  EXPECT_TRUE(std::ranges::any_of(evidence->findings, [](const EvidenceFinding& finding) {
    return finding.text.starts_with("custody: not tried ") && finding.text.contains("doctor --config FILE --try");
  }));
}

TEST_F(KeyCustodianTest, EvidenceIsSignedByTheKeyAndSaysWhatItProves) {
  auto replica = Start();
  const auto kid = replica.Generate("orders");
  const auto entry = replica.ring().Find("orders", kid);
  const auto made = MakeEvidence(hsm_.token(), "orders", *entry, 1, now_);
  ASSERT_TRUE(made) << made.error().ToString();
  const auto evidence = VerifyEvidence(*made);
  ASSERT_TRUE(evidence) << evidence.error().ToString();
  EXPECT_TRUE(evidence->ok());
  EXPECT_NE(evidence->report.find("CKM_SHA256_RSA_PKCS"), std::string::npos);
  EXPECT_NE(evidence->report.find("\"module\": \"SoftHSM, Implementation of PKCS11 2."), std::string::npos);
  EXPECT_TRUE(std::ranges::any_of(evidence->findings, [](const EvidenceFinding& finding) {
    return finding.text.starts_with("attributes: the word of a program");
  })) << "of what the attributes below are worth on this token";
  EXPECT_EQ(Warnings(*evidence), "attributes") << "custody was tried before the key was made";
  EXPECT_EQ(evidence->kid, kid);
  EXPECT_EQ(evidence->key, entry->key->public_key);
  auto forged = *made;
  forged.back() = forged.back() == 'A' ? 'Q' : 'A';
  const auto verdict = VerifyEvidence(forged);
  EXPECT_TRUE(!verdict || !verdict->ok());
}

// What a signer of another program may write: each is told, none passes for something else.
TEST_F(KeyCustodianTest, EvidenceThatIsWrittenOtherwiseIsWrong) {
  const auto verdict = [](const std::string& claims) {
    const auto encode = [](const std::string& text) { return jws::Base64UrlEncode(AsBytes(text)); };
    return VerifyEvidence(encode(R"({"alg":"ES256","typ":"assertiond-evidence+json"})") + "." +
                          encode(R"({"jwk":null,)" + claims + "}") + ".AA");
  };
  const auto tells = [&](const std::string& claims, std::string_view text) {
    const auto evidence = verdict(claims);
    return evidence && std::ranges::any_of(evidence->findings, [&](const EvidenceFinding& finding) {
             return !finding.ok && finding.text == text;
           });
  };
  EXPECT_TRUE(tells(R"("custody":{"trial":"unproven","x":1e400})",
                    "report: a member holds a number that no JSON reader takes: it is left out here"));
  EXPECT_TRUE(
      tells(R"("attributes":[{"name":"CKA_EXTRACTABLE","value":false},{"name":"CKA_EXTRACTABLE","value":true}])",
            "attributes: CKA_EXTRACTABLE is there twice"));
  EXPECT_TRUE(tells(R"("attributes":[{"value":false}])", "attributes: one has no name"));
  EXPECT_TRUE(tells(R"("attributes":[{"name":"CKA_DECRYPT","value":1}])", "CKA_DECRYPT: must be true, false or null"));
  EXPECT_TRUE(tells(R"("attributes":[{"name":"CKA_SIGN","value":true,"accepted_by_operator":"yes"}])",
                    "CKA_SIGN: must be true, false or null"));
  EXPECT_FALSE(tells(R"("attributes":[{"name":"CKA_SIGN","value":true}])", "CKA_SIGN: must be true, false or null"));
  const auto unsigned_one = verdict(R"("client_id":"orders")");
  ASSERT_TRUE(unsigned_one);
  EXPECT_EQ(unsigned_one->about.back().second, "nobody: the signature is wrong");
}

// Refuses CKA_COPYABLE in a template.
class UncopyableToken final : public WrappedToken {
 public:
  using WrappedToken::WrappedToken;
  Result<TokenKey> GenerateKeyPair(const NewKey& key) override {
    auto made = WrappedToken::GenerateKeyPair(key);
    made->not_asked = AttributeNames{"CKA_COPYABLE"};
    return made;
  }
};

TEST_F(KeyCustodianTest, EvidenceSaysWhatWasNotAskedForAtAKeysBirthAfterARestartToo) {
  UncopyableToken token(hsm_.token());
  std::string kid;
  std::string whole;
  {
    auto replica = Start(token);
    kid = replica.Generate("orders");
    whole = Start().Generate("billing");
  }
  auto restarted = Start();
  const auto says = [&](const std::string& client, const std::string& of, std::string_view text) {
    const auto made = MakeEvidence(hsm_.token(), client, *restarted.ring().Find(client, of), 1, now_);
    const auto evidence = VerifyEvidence(*made);
    return evidence->ok() && std::ranges::any_of(evidence->findings, [&](const EvidenceFinding& finding) {
             return finding.text.starts_with("attributes not asked for at the key's birth: " + std::string(text));
           });
  };
  EXPECT_TRUE(says("orders", kid, "CKA_COPYABLE"));
  EXPECT_TRUE(says("billing", whole, "none"));
  auto entry = *restarted.ring().Find("orders", kid);
  entry.record.not_asked.reset();  // a ledger of an older version
  const auto evidence = VerifyEvidence(*MakeEvidence(hsm_.token(), "orders", entry, 1, now_));
  EXPECT_TRUE(std::ranges::any_of(evidence->findings, [](const EvidenceFinding& finding) {
    return finding.text.starts_with("attributes not asked for at the key's birth: unknown");
  }));
}

// Shows keys that are of use without a login.
class UnguardedToken final : public WrappedToken {
 public:
  using Token::Read;
  using WrappedToken::WrappedToken;
  Result<TokenContents> Read(const std::set<std::string, std::less<>>& labels, const std::set<Bytes>& ids) override {
    auto contents = WrappedToken::Read(labels, ids);
    for (auto& key : contents->keys) {
      std::ranges::find(key.attributes, "CKA_PRIVATE", &KeyAttribute::name)->value = false;
    }
    return contents;
  }
};

TEST_F(KeyCustodianTest, EvidenceOfAKeyThatIsNotPrivateDoesNotVerify) {
  auto replica = Start();
  const auto entry = replica.ring().Find("orders", replica.Generate("orders"));
  UnguardedToken token(hsm_.token());
  const auto evidence = VerifyEvidence(*MakeEvidence(token, "orders", *entry, 1, now_));
  ASSERT_TRUE(evidence) << evidence.error().ToString();
  EXPECT_FALSE(evidence->ok());
  EXPECT_TRUE(std::ranges::any_of(evidence->findings, [](const EvidenceFinding& finding) {
    return !finding.ok && finding.text == "CKA_PRIVATE: false, must be true";
  }));
}

}  // namespace
}  // namespace assertion
