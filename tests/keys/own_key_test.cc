// The keys of assertiond itself: one that does not prove itself stops, and none is made beside it.

#include "keys/own_key.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "assertion/client.h"
#include "jws/thumbprint.h"
#include "key_ring_fixture.h"
#include "keys/seal.h"

namespace assertion {
namespace {

// Changes what Read answers.
class ChangedContents final : public WrappedToken {
 public:
  using Token::Read;
  using WrappedToken::WrappedToken;
  Result<TokenContents> Read(const std::set<std::string, std::less<>>& labels, const std::set<Bytes>& ids) override {
    auto contents = WrappedToken::Read(labels, ids);
    if (contents) {
      change(*contents);
    }
    return contents;
  }
  std::function<void(TokenContents&)> change;
};

// A server on another machine: it has a lock of its own. `before_making` runs when it has seen no key and is about to
// make one.
class OtherMachine final : public WrappedToken {
 public:
  OtherMachine(Token& real, std::string locks) : WrappedToken(real), locks_(std::move(locks)) {}
  const std::string& lock_directory() const override { return locks_; }
  Result<TokenKey> GenerateKeyPair(const NewKey& key) override {
    if (before_making) {
      std::exchange(before_making, {})();
    }
    return WrappedToken::GenerateKeyPair(key);
  }
  std::function<void()> before_making;

 private:
  const std::string locks_;
};

class OwnKeyTest : public testing::Test {
 protected:
  Result<std::vector<TokenKey>> Make(Token& token) {
    return FindOrGenerateOwnKeys(token, kLedgerKeyLabel, RandomOctets);
  }
  std::vector<TokenKey> All() { return hsm_.token().Read({std::string(kLedgerKeyLabel)})->keys; }

  // Expects that a start with this token says that `key` does not prove itself, and why, and makes none.
  void ExpectUnproven(Token& token, const TokenKey& key, const std::string& reason) {
    const auto keys = Make(token);
    ASSERT_FALSE(keys);
    EXPECT_EQ(keys.error().code, Code::kKeyUnproven);
    EXPECT_NE(keys.error().message.find("'assertiond-ledger' with CKA_ID " + Hex(key.id)), std::string::npos)
        << keys.error().message;
    EXPECT_NE(keys.error().detail.find(reason), std::string::npos) << keys.error().detail;
    EXPECT_EQ(All().size(), 1U);
  }

  LoggedInSoftHsm hsm_;
};

TEST_F(OwnKeyTest, AfterAWrongSignatureNoOtherIsMadeAndTheNextStartHasTheSame) {
  const auto key = Make(hsm_.token())->front();
  WrongToken token(hsm_.token());
  ExpectUnproven(token, key, "kid " + jws::JwkThumbprint(key.public_key) + ": C_Sign");
  const auto again = Make(hsm_.token());
  ASSERT_TRUE(again) << again.error().ToString();
  EXPECT_EQ(again->front().id, key.id);
}

TEST_F(OwnKeyTest, AKeyWithoutWhatCustodyAsksForStopsAndNoOtherIsMade) {
  hsm_.MakeKey(std::string(kLedgerKeyLabel), {1}, true, /*extractable=*/true);
  ExpectUnproven(hsm_.token(), All().front(), "CKA_EXTRACTABLE");
}

TEST_F(OwnKeyTest, APublicHalfThatOpenSslRefusesIsNoReasonToMakeAnother) {
  const auto key = Make(hsm_.token())->front();
  ChangedContents token(hsm_.token());
  token.change = [](TokenContents& contents) { contents.keys.front().candidates = {RsaPublicKey{}}; };
  ExpectUnproven(token, key, "kid ");
  token.change = [](TokenContents& contents) {
    contents.keys.front().candidates.insert(contents.keys.front().candidates.begin(), RsaPublicKey{});
  };
  EXPECT_TRUE(Make(token)) << "another candidate is its half";
}

TEST_F(OwnKeyTest, AKeyThatAnotherServerIsMakingIsWaitedFor) {
  const auto key = Make(hsm_.token())->front();
  ChangedContents token(hsm_.token());
  token.change = [looks = 0](TokenContents& contents) mutable {
    if (++looks == 1) {
      contents.keys.front().flaw = Error{.code = Code::kKeyUnproven, .message = "half of it", .detail = {}};
    }
  };
  const auto found = Make(token);
  ASSERT_TRUE(found) << found.error().ToString();
  EXPECT_EQ(found->front().id, key.id);
}

TEST_F(OwnKeyTest, TwoMachinesThatMakeOneAtTheSameTimeBelieveEachOther) {
  OtherMachine one(hsm_.token(), hsm_.directory() / "one");
  OtherMachine two(hsm_.token(), hsm_.directory() / "two");
  Seal first(one, RandomOctets);
  Seal second(two, RandomOctets);
  std::string of_second;
  one.before_making = [&] { of_second = second.Sign(Seal::kLedger, R"({"of":"second"})").value_or(""); };
  const auto of_first = first.Sign(Seal::kLedger, R"({"of":"first"})");
  ASSERT_TRUE(of_first) << of_first.error().ToString();
  ASSERT_EQ(All().size(), 2U);
  EXPECT_EQ(first.Open(Seal::kLedger, of_second), R"({"of":"second"})");
  const auto opened = second.Open(Seal::kLedger, *of_first);
  ASSERT_TRUE(opened) << opened.error().ToString();
  EXPECT_EQ(*opened, R"({"of":"first"})");

  const auto keys = Make(one);
  ASSERT_TRUE(keys) << keys.error().ToString();
  EXPECT_EQ(keys->front().id, std::ranges::min(All(), {}, &TokenKey::id).id);
  EXPECT_EQ(keys->front().id, Make(two)->front().id);
  EXPECT_EQ(All().size(), 2U) << "a restart makes none";
}

}  // namespace
}  // namespace assertion
