#include "keys/seal.h"

#include <gtest/gtest.h>

#include "assertion/client.h"
#include "jws/base64url.h"
#include "jws/compact.h"
#include "jws/thumbprint.h"
#include "keys/own_key.h"
#include "replica.h"
#include "softhsm.h"
#include "wrapped_token.h"

namespace assertion {
namespace {

const std::string kText = R"({"what":"it is"})";

class SealTest : public testing::Test {
 protected:
  // As anybody with a PIN, but without the wish to keep to the rules, might make one.
  std::string Forge(std::string_view header, std::string_view payload, const Bytes& id) {
    auto input = jws::Base64UrlEncode(AsBytes(header)) + "." + jws::Base64UrlEncode(AsBytes(payload));
    const auto session = *hsm_.token().OpenSigningSession();
    return jws::Compact(input, *session->Sign(id, kAlgorithms.front(), input));
  }

  static void ExpectRefused(Seal& seal, const std::string& jws, const std::string& reason) {
    const auto opened = seal.Open(Seal::kLedger, jws);
    ASSERT_FALSE(opened) << jws;
    EXPECT_EQ(opened.error().code, Code::kLedgerUnusable);
    EXPECT_NE(opened.error().message.find(reason), std::string::npos) << opened.error().message;
  }

  LoggedInSoftHsm hsm_;
  Seal seal_{hsm_.token(), RandomOctets};
};

TEST_F(SealTest, AnotherServerOpensWhatOneHasSealed) {
  const auto jws = seal_.Sign(Seal::kLedger, kText);
  ASSERT_TRUE(jws) << jws.error().ToString();
  Seal other(hsm_.token(), RandomOctets);
  EXPECT_EQ(other.Open(Seal::kLedger, *jws), kText);
  EXPECT_EQ(FindOwnKeys(hsm_.token(), kLedgerKeyLabel)->size(), 1U);
  EXPECT_EQ(*seal_.Sign(Seal::kLedger, kText), *jws);  // one key, one text
}

TEST_F(SealTest, NoOctetCanBeChanged) {
  const auto jws = *seal_.Sign(Seal::kLedger, kText);
  for (std::size_t i = 0; i < jws.size(); ++i) {
    auto changed = jws;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(seal_.Open(Seal::kLedger, changed)) << i;
    EXPECT_FALSE(seal_.Open(Seal::kLedger, jws.substr(0, i))) << i;
  }
  for (const auto* more : {".", "A", "=", "\n", " "}) {
    EXPECT_FALSE(seal_.Open(Seal::kLedger, jws + more)) << more;
    EXPECT_FALSE(seal_.Open(Seal::kLedger, more + jws)) << more;
  }
}

TEST_F(SealTest, OneKindIsNotTakenForAnother) {
  ExpectRefused(seal_, *seal_.Sign(Seal::kPendingChange, kText), "typ is 'assertiond-pending+jws'");
  ExpectRefused(seal_, *seal_.Sign("JWT", kText), "typ is 'JWT'");
  EXPECT_FALSE(seal_.Open(Seal::kPendingChange, *seal_.Sign(Seal::kLedger, kText)));
}

// The key is right, and the signature: still, a header that is not ours octet for octet is obeyed in nothing.
TEST_F(SealTest, TheHeaderIsComparedNotObeyed) {
  ASSERT_TRUE(seal_.Settle());
  const auto key = FindOwnKeys(hsm_.token(), kLedgerKeyLabel)->front();
  const auto kid = jws::JwkThumbprint(key.public_key);
  const auto header = [&](const std::string& alg, const std::string& more = "") {
    return R"({"alg":")" + alg + R"(","kid":")" + kid + R"(","typ":"assertiond-ledger+jws")" + more + "}";
  };
  EXPECT_EQ(seal_.Open(Seal::kLedger, Forge(header("RS256"), kText, key.id)), kText);
  ExpectRefused(seal_, Forge(header("none"), kText, key.id), "its header");
  ExpectRefused(seal_, Forge(header("HS256"), kText, key.id), "its header");
  ExpectRefused(seal_, Forge(header("RS256", R"(,"crit":["b64"])"), kText, key.id), "its header");
  ExpectRefused(seal_, Forge(header("RS256", R"(,"jwk":{})"), kText, key.id), "its header");
  ExpectRefused(seal_, Forge(R"({"typ":"assertiond-ledger+jws","alg":"RS256"})", kText, key.id), "not the token's");
}

// The token's other keys sign assertions and checkpoints for whoever may ask for those.
TEST_F(SealTest, OfTheTokensKeysOnlyThoseMadeForItCount) {
  ASSERT_TRUE(seal_.Settle());
  for (const auto label : {kAuditKeyLabel, std::string_view("orders")}) {
    const auto key = *FindOrGenerateOwnKey(hsm_.token(), label, RandomOctets);
    const auto header =
        R"({"alg":"RS256","kid":")" + jws::JwkThumbprint(key.public_key) + R"(","typ":"assertiond-ledger+jws"})";
    ExpectRefused(seal_, Forge(header, kText, key.id), "a key that is not the token's");
  }
}

// Two servers that start at the same moment may make one each.
TEST_F(SealTest, AllKeysOfTheLabelVerify) {
  const auto before = *seal_.Sign(Seal::kLedger, kText);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(GenerateOwnKey(hsm_.token(), kLedgerKeyLabel, RandomOctets));
  }
  Seal other(hsm_.token(), RandomOctets);
  EXPECT_EQ(other.Open(Seal::kLedger, before), kText);
  const auto after = *other.Sign(Seal::kLedger, kText);
  EXPECT_EQ(seal_.Open(Seal::kLedger, after), kText);  // looks again for a key that it does not know
  Seal third(hsm_.token(), RandomOctets);
  EXPECT_EQ(*third.Sign(Seal::kLedger, kText), after);  // the first by CKA_ID
}

class CountingReads final : public WrappedToken {
 public:
  using WrappedToken::WrappedToken;
  Result<TokenContents> Read(const std::set<std::string, std::less<>>& labels, const std::set<Bytes>& ids) override {
    ++reads;
    return WrappedToken::Read(labels, ids);
  }
  int reads = 0;
};

TEST_F(SealTest, AKeyThatIsNowhereIsNotLookedForAtEachRead) {
  ASSERT_TRUE(seal_.Settle());
  const auto key = *FindOrGenerateOwnKey(hsm_.token(), "orders", RandomOctets);
  const auto forged = Forge(R"({"alg":"RS256","kid":"nowhere","typ":"assertiond-ledger+jws"})", kText, key.id);
  CountingReads token(hsm_.token());
  Seal seal(token, RandomOctets);
  ExpectRefused(seal, forged, "nowhere");
  ExpectRefused(seal, forged, "nowhere");
  const int reads = token.reads;
  ExpectRefused(seal, forged, "nowhere");
  EXPECT_EQ(token.reads, reads);
}

// Signs with another key than it is asked to.
class CrossedToken final : public WrappedToken {
 public:
  using WrappedToken::WrappedToken;
  Result<std::unique_ptr<SigningSession>> OpenSigningSession() override {
    class Crossed final : public SigningSession {
     public:
      Crossed(std::unique_ptr<SigningSession> real, Bytes id) : real_(std::move(real)), id_(std::move(id)) {}
      Result<Bytes> Sign(const Bytes& /*id*/, const Algorithm& algorithm, std::string_view input) override {
        return real_->Sign(id_, algorithm, input);
      }

     private:
      const std::unique_ptr<SigningSession> real_;
      const Bytes id_;
    };
    return std::make_unique<Crossed>(*WrappedToken::OpenSigningSession(), other);
  }
  Bytes other;  // CKA_ID
};

TEST_F(SealTest, AKeyThatDoesNotProveItselfIsAnErrorAndItsTextNoStrangers) {
  const auto jws = *seal_.Sign(Seal::kLedger, kText);
  CrossedToken token(hsm_.token());
  token.other = FindOrGenerateOwnKey(hsm_.token(), "orders", RandomOctets)->id;
  Seal seal(token, RandomOctets);
  EXPECT_EQ(seal.Open(Seal::kLedger, jws).error().code, Code::kKeyUnproven);
  EXPECT_EQ(seal.Open(Seal::kLedger, jws).error().code, Code::kKeyUnproven);
  EXPECT_EQ(seal.Sign(Seal::kLedger, kText).error().code, Code::kKeyUnproven);
  EXPECT_EQ(seal_.Open(Seal::kLedger, jws), kText);
}

TEST_F(SealTest, AfterAKeyThatCannotBeUsedNothingUnsignedCountsEither) {
  EXPECT_FALSE(*seal_.IsSettled());
  hsm_.MakeKey(std::string(kLedgerKeyLabel), {1}, true, /*extractable=*/true);
  EXPECT_EQ(seal_.IsSettled().error().code, Code::kKeyUnproven);
  EXPECT_EQ(seal_.Settle().error().code, Code::kKeyUnproven);
  EXPECT_EQ(hsm_.token().Read({std::string(kLedgerKeyLabel)})->keys.size(), 1U) << "no other is made beside it";
}

}  // namespace
}  // namespace assertion
