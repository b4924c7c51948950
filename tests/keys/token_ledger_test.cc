#include "keys/token_ledger.h"

#include <gtest/gtest.h>

#include "replica.h"
#include "softhsm.h"
#include "wrapped_token.h"

namespace assertion {
namespace {

using std::chrono::seconds;

constexpr const char* kLedgers = "assertiond ledger";
constexpr const char* kClaims = "assertiond claim";

class TokenLedgerTest : public testing::Test {
 protected:
  std::unique_ptr<TokenLedger> Open(const std::string& holder) {
    return *TokenLedger::Open(hsm_.token(), holder, [this] { return now_; }, RandomOctets);
  }

  void StoreClaim(const std::string& holder, Time until) {
    ASSERT_TRUE(hsm_.token().StoreData(kClaims, "orders",
                                       R"({"nonce":"n","holder":")" + holder + R"(","until":)" +
                                           std::to_string(until.time_since_epoch().count()) + "}"));
  }
  void StoreLedger(std::int64_t version, const std::string& label = "orders") {
    ClientLedger ledger;
    ledger.client_id = "orders";
    ledger.version = version;
    ASSERT_TRUE(hsm_.token().StoreData(kLedgers, label, ToJson(ledger)));
  }
  std::size_t Claims() { return hsm_.token().FindData(kClaims, {})->size(); }

  LoggedInSoftHsm hsm_;
  Time now_{seconds(1'800'000'000)};
};

TEST_F(TokenLedgerTest, AClaimThatIsVoidIsInNobodysWay) {
  auto ledger = Open("this");
  StoreClaim("other", now_ - seconds(1));
  ASSERT_TRUE(hsm_.token().StoreData(kClaims, "orders", "garbage"));
  ASSERT_TRUE(hsm_.token().StoreData(kClaims, "orders", R"({"nonce":7,"holder":"other","until":9999999999})"));
  {
    const auto hold = ledger->Take("orders");
    ASSERT_TRUE(hold) << hold.error().ToString();
    EXPECT_EQ(Claims(), 1U);
  }
  EXPECT_EQ(Claims(), 0U);
}

TEST_F(TokenLedgerTest, AClaimOfAnotherIsRespectedUntilItsTime) {
  auto ledger = Open("this");
  StoreClaim("other", now_);
  const auto hold = ledger->Take("orders");  // waits for some seconds
  ASSERT_FALSE(hold);
  EXPECT_EQ(hold.error().code, Code::kAborted);
  EXPECT_EQ(Claims(), 1U);
  EXPECT_TRUE(ledger->Take("billing"));  // is of another client
  now_ += seconds(1);
  EXPECT_TRUE(ledger->Take("orders"));
}

TEST_F(TokenLedgerTest, AtItsStartAProcessWithdrawsItsOwnClaims) {
  StoreClaim("this", now_ + seconds(100));
  StoreClaim("other", now_ + seconds(100));
  Open("this");
  EXPECT_EQ(Claims(), 1U);
  Open("other");
  EXPECT_EQ(Claims(), 0U);
}

// Destroys nothing while it has an answer of its own.
class KeepingToken final : public WrappedToken {
 public:
  using WrappedToken::WrappedToken;
  Status DestroyObject(ObjectHandle object) override { return answer ? *answer : WrappedToken::DestroyObject(object); }
  std::optional<Status> answer;
};

TEST_F(TokenLedgerTest, AClaimThatTheTokenDidNotLetGoIsNotWaitedFor) {
  KeepingToken token(hsm_.token());
  const auto ledger = *TokenLedger::Open(token, "this", [this] { return now_; }, RandomOctets);
  token.answer = Fail(Code::kUnavailable, "not now");
  EXPECT_TRUE(ledger->Take("orders"));
  EXPECT_EQ(Claims(), 1U);
  token.answer = Status();  // says that it did: a stale handle is as good as none
  EXPECT_TRUE(ledger->Take("orders"));
  EXPECT_EQ(Claims(), 2U);
  token.answer.reset();
  EXPECT_TRUE(ledger->Take("orders"));
  EXPECT_EQ(Claims(), 0U);
}

TEST_F(TokenLedgerTest, TheNewestVersionCounts) {
  auto ledger = Open("this");
  for (const int version : {7, 9, 8}) {
    StoreLedger(version);
  }
  EXPECT_EQ(ledger->Read()->at("orders").version, 9);
  {
    const auto hold = *ledger->Take("orders");
    EXPECT_EQ(hold->current().version, 9);
    auto next = hold->current();
    next.version = 10;
    ASSERT_TRUE(hold->Commit(next));
  }
  EXPECT_EQ(ledger->Read()->at("orders").version, 10);
  EXPECT_EQ(hsm_.token().FindData(kLedgers, "orders")->size(), 2U);  // and the one of before
}

TEST_F(TokenLedgerTest, WhatCannotBeReadIsUnusable) {
  auto ledger = Open("this");
  StoreLedger(7);
  StoreLedger(7);
  EXPECT_EQ(ledger->Read().error().code, Code::kLedgerUnusable);
  EXPECT_EQ(ledger->Take("orders").error().code, Code::kLedgerUnusable);
  EXPECT_TRUE(ledger->Take("billing"));
}

TEST_F(TokenLedgerTest, ALedgerUnderAnotherClientsLabelIsUnusable) {
  auto ledger = Open("this");
  StoreLedger(7, "billing");
  EXPECT_EQ(ledger->Read().error().code, Code::kLedgerUnusable);
}

// Counts what a ring asks of the token.
class CountingToken final : public WrappedToken {
 public:
  using WrappedToken::WrappedToken;

  Result<TokenContents> Read(const std::set<std::string, std::less<>>& labels) override {
    ++reads;
    return WrappedToken::Read(labels);
  }
  Result<std::vector<TokenData>> FindData(std::string_view application, std::string_view label) override {
    ++searches;
    return WrappedToken::FindData(application, label);
  }
  Result<std::unique_ptr<SigningSession>> OpenSigningSession() override {
    ++sessions;
    return WrappedToken::OpenSigningSession();
  }

  int reads = 0;
  int searches = 0;
  int sessions = 0;
};

TEST_F(TokenLedgerTest, ARefreshReadsKeysOnlyOfWhoseLedgerChanged) {
  const auto certifier = *x509::Certifier::New(SOFTHSM2_MODULE);
  CountingToken token(hsm_.token());
  Replica replica(token, *certifier, {Named("orders"), Named("billing")}, now_);
  replica.Generate("orders");
  replica.Generate("billing");
  token.reads = token.searches = token.sessions = 0;
  ASSERT_TRUE(replica.ring().Refresh());
  EXPECT_EQ(token.searches, 1);
  EXPECT_EQ(token.reads, 0);
  EXPECT_EQ(token.sessions, 0);
  // What the handler of a call asks for does not reach the token at all.
  EXPECT_TRUE(replica.ring().SigningKeyOf("orders"));
  EXPECT_EQ(token.searches, 1);

  Replica other(hsm_.token(), *certifier, {Named("orders"), Named("billing")}, now_, "other");
  other.Generate("orders");
  token.reads = token.sessions = 0;
  ASSERT_TRUE(replica.ring().Refresh());
  EXPECT_EQ(token.reads, 1);
  EXPECT_EQ(token.sessions, 2);  // one proof for each key of that client
}

}  // namespace
}  // namespace assertion
