#include "keys/token_ledger.h"

#include <gtest/gtest.h>

#include "keys/kept_ledgers.h"
#include "keys/own_key.h"
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
  static ClientLedger Ledger(std::int64_t version, const std::string& client_id = "orders") {
    ClientLedger ledger;
    ledger.client_id = client_id;
    ledger.version = version;
    return ledger;
  }
  // As older versions stored it.
  static std::string Unsigned(std::int64_t version, const std::string& client_id = "orders") {
    return R"({"client_id":")" + client_id + R"(","version":)" + std::to_string(version) +
           R"(,"keys":[],"requests":[]})";
  }
  std::string Sealed(std::int64_t version) { return *seal_.Write(Ledger(version)); }
  void StoreLedger(const std::string& text, const std::string& label = "orders") {
    ASSERT_TRUE(hsm_.token().StoreData(kLedgers, label, text));
  }
  void Destroy(const std::string& label) {
    const auto objects = *hsm_.token().FindData(kLedgers, label);
    for (const auto& object : objects) {
      ASSERT_TRUE(hsm_.token().DestroyObject(object.handle));
    }
  }
  std::size_t Objects(const std::string& label = {}) { return hsm_.token().FindData(kLedgers, label)->size(); }
  std::size_t Claims() { return hsm_.token().FindData(kClaims, {})->size(); }

  LoggedInSoftHsm hsm_;
  Time now_{seconds(1'800'000'000)};
  LedgerSeal seal_{hsm_.token(), RandomOctets};
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
  ASSERT_TRUE(ledger->TakeOver());  // a first start destroys what it stored to try the token
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

// A session without login may make one: it holds no client.
TEST_F(TokenLedgerTest, APublicClaimIsNobodys) {
  auto ledger = Open("this");
  hsm_.StorePublicData(kClaims, "orders", R"({"nonce":"n","holder":"other","until":9999999999})");
  EXPECT_TRUE(ledger->Take("orders"));
  EXPECT_EQ(Claims(), 1U);
}

TEST_F(TokenLedgerTest, TheNewestVersionCounts) {
  auto ledger = Open("this");
  for (const int version : {7, 9, 8}) {
    StoreLedger(Sealed(version));
  }
  EXPECT_EQ(ledger->Read()->ledgers.at("orders").version, 9);
  {
    const auto hold = *ledger->Take("orders");
    EXPECT_EQ(hold->current().version, 9);
    auto next = hold->current();
    next.version = 10;
    next.previous = HashOf(hold->current());
    ASSERT_TRUE(hold->Commit(next));
  }
  EXPECT_EQ(ledger->Read()->ledgers.at("orders").version, 10);
  EXPECT_EQ(Objects("orders"), 2U);  // and the one of before
}

TEST_F(TokenLedgerTest, TwoThatDifferStopTheirClientAlone) {
  auto ledger = Open("this");
  StoreLedger(Sealed(7));
  auto other = Ledger(7);
  other.previous = "another";
  StoreLedger(*seal_.Write(other));
  StoreLedger(*seal_.Write(Ledger(3, "billing")), "billing");
  const auto contents = *ledger->Read();
  EXPECT_EQ(contents.errors.at("orders").code, Code::kLedgerUnusable);
  EXPECT_FALSE(contents.ledgers.contains("orders"));
  EXPECT_EQ(contents.ledgers.at("billing").version, 3);
  EXPECT_EQ(ledger->Take("orders").error().code, Code::kLedgerUnusable);
  EXPECT_TRUE(ledger->Take("billing"));
}

// Two servers that take over at once, or a copy.
TEST_F(TokenLedgerTest, TwoThatSayTheSameAreOne) {
  auto ledger = Open("this");
  StoreLedger(Sealed(7));
  ASSERT_TRUE(GenerateOwnKey(hsm_.token(), kLedgerKeyLabel, RandomOctets));
  ASSERT_TRUE(GenerateOwnKey(hsm_.token(), kTakeoverKeyLabel, RandomOctets));
  LedgerSeal other(hsm_.token(), RandomOctets);
  Seal taking_over(hsm_.token(), RandomOctets);
  ASSERT_TRUE(taking_over.BeginTakeover());
  StoreLedger(*taking_over.Sign(Seal::kLedger, ToJson(Ledger(7))));
  StoreLedger(*other.Write(Ledger(7)));
  EXPECT_EQ(ledger->Read()->ledgers.at("orders").version, 7);
  EXPECT_TRUE(ledger->Take("orders"));
}

TEST_F(TokenLedgerTest, WhatVerifiesAndCannotBeReadStopsItsClientAlone) {
  auto ledger = Open("this");
  Seal seal(hsm_.token(), RandomOctets);
  StoreLedger(*seal.Sign(Seal::kLedger, R"({"client_id":"orders","of":"a later version of assertiond"})"));
  StoreLedger(*seal_.Write(Ledger(3, "billing")), "billing");
  const auto contents = *ledger->Read();
  EXPECT_TRUE(contents.errors.contains("orders"));
  EXPECT_TRUE(contents.strays.empty());
  EXPECT_EQ(contents.ledgers.size(), 1U);
}

// Fault 1: what anybody may put on the token counts for nothing, and stops nothing.
TEST_F(TokenLedgerTest, AStrayChangesNothingForAnybody) {
  auto ledger = Open("this");
  ASSERT_TRUE(ledger->TakeOver());
  StoreLedger(Sealed(7));
  const auto later = Sealed(9);
  hsm_.StorePublicData(kLedgers, "orders", later);  // sealed once, but not private
  hsm_.StorePublicData(kLedgers, "orders", Unsigned(9));
  hsm_.StorePublicData(kLedgers, "no client\x1b[2J", "garbage");
  StoreLedger(Unsigned(9));           // private, but not signed
  StoreLedger(Sealed(9), "billing");  // another client's
  StoreLedger(*Seal(hsm_.token(), RandomOctets).Sign(Seal::kPendingChange, ToJson(Ledger(9))));
  auto tampered = later;
  tampered[tampered.find('.') + 9] = '_';
  StoreLedger(tampered);
  const auto before = Objects();

  const auto contents = *ledger->Read();
  EXPECT_EQ(contents.ledgers.at("orders").version, 7);
  EXPECT_EQ(contents.ledgers.size(), 1U);
  EXPECT_TRUE(contents.errors.empty());
  ASSERT_EQ(contents.strays.size(), 7U);
  EXPECT_EQ(contents.strays.front().name, "billing");
  EXPECT_EQ(contents.strays[1].name, R"(no client\x1b[2J)");
  {
    const auto hold = ledger->Take("orders");
    ASSERT_TRUE(hold) << hold.error().ToString();
    ASSERT_TRUE((*hold)->Commit(Ledger(8)));
  }
  EXPECT_EQ(ledger->Read()->ledgers.at("orders").version, 8);
  EXPECT_EQ(Objects(), before + 1);
}

TEST_F(TokenLedgerTest, APublicObjectIsNoLedgerWhateverItSays) {
  ASSERT_TRUE(Open("this")->TakeOver());
  StoreLedger(Sealed(7));
  PublicDataToken token(hsm_.token());
  const auto contents = *(*TokenLedger::Open(token, "other", [this] { return now_; }, RandomOctets))->Read();
  EXPECT_TRUE(contents.ledgers.empty());
  ASSERT_EQ(contents.strays.size(), 1U);
  EXPECT_EQ(contents.strays.front().reason, "it is a public object: anybody may have made it");
}

TEST_F(TokenLedgerTest, TheFirstStartTakesOverWhatIsUnsignedAndNoLaterOne) {
  StoreLedger(Unsigned(6));
  StoreLedger(Unsigned(7));
  StoreLedger(Unsigned(3, "billing"), "billing");
  StoreLedger(Unsigned(2, "twice"), "twice");
  StoreLedger(R"({"client_id":"twice","version":2,"keys":[],"requests":[{"id":"r","digest":"d","kid":"k"}]})", "twice");
  hsm_.StorePublicData(kLedgers, "orders", Unsigned(9));
  auto ledger = Open("this");
  EXPECT_EQ(ledger->Read()->ledgers.at("orders").version, 7);
  const auto done = ledger->TakeOver();
  ASSERT_TRUE(done) << done.error().ToString();
  EXPECT_EQ(done->clients, (std::vector<std::string>{"billing", "orders"}));
  EXPECT_TRUE(done->left.contains("twice"));
  auto contents = *Open("later")->Read();
  EXPECT_EQ(contents.ledgers.at("orders").version, 7);
  EXPECT_EQ(contents.ledgers.at("billing").version, 3);
  EXPECT_EQ(contents.strays.size(), 3U);
  EXPECT_EQ(Objects("orders"), 2U);  // the sealed one, and the public one

  StoreLedger(Unsigned(99));
  Destroy("billing");
  StoreLedger(Unsigned(99, "billing"), "billing");
  EXPECT_TRUE(Open("later")->TakeOver()->clients.empty());
  contents = *Open("later")->Read();
  EXPECT_EQ(contents.ledgers.at("orders").version, 7);
  EXPECT_FALSE(contents.ledgers.contains("billing"));
}

// An older server went on after a takeover was interrupted.
TEST_F(TokenLedgerTest, UntilTheTakeoverIsOverTheNewestCountsSignedOrNot) {
  Seal seal(hsm_.token(), RandomOctets);
  ASSERT_TRUE(seal.BeginTakeover());
  StoreLedger(*seal.Sign(Seal::kLedger, ToJson(Ledger(7))));
  StoreLedger(Unsigned(7));
  StoreLedger(Unsigned(8));
  auto ledger = Open("this");
  EXPECT_EQ(ledger->Read()->ledgers.at("orders").version, 8);
  EXPECT_EQ(ledger->TakeOver()->clients, std::vector<std::string>{"orders"});
  EXPECT_EQ(Open("later")->Read()->ledgers.at("orders").version, 8);
  EXPECT_EQ(Objects("orders"), 2U);
}

// On two machines: neither sees the other's lock.
TEST_F(TokenLedgerTest, TwoServersTakeOverAtOnce) {
  StoreLedger(Unsigned(7));
  auto one = Open("one");
  auto two = Open("two");
  const auto [first, second] = std::pair(one->Read(), two->Read());
  ASSERT_TRUE(first && second);
  // The second makes its keys and seals after the first has, and before the first is over.
  Seal late(hsm_.token(), RandomOctets);
  ASSERT_TRUE(late.BeginTakeover());
  ASSERT_TRUE(GenerateOwnKey(hsm_.token(), kTakeoverKeyLabel, RandomOctets));
  ASSERT_TRUE(one->TakeOver());
  StoreLedger(*late.Sign(Seal::kLedger, ToJson(Ledger(7))));
  ASSERT_TRUE(late.Settle());
  ASSERT_TRUE(GenerateOwnKey(hsm_.token(), kLedgerKeyLabel, RandomOctets));
  for (const auto* ledger : {&one, &two}) {
    ASSERT_TRUE((*ledger)->TakeOver());
    const auto contents = *(*ledger)->Read();
    EXPECT_EQ(contents.ledgers.at("orders").version, 7);
    EXPECT_TRUE(contents.errors.empty());
    EXPECT_TRUE(contents.strays.empty());
  }
}

// Counts what a ring asks of the token.
class CountingToken final : public WrappedToken {
 public:
  using WrappedToken::WrappedToken;

  Result<TokenContents> Read(const std::set<std::string, std::less<>>& labels, const std::set<Bytes>& ids) override {
    ++reads;
    return WrappedToken::Read(labels, ids);
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

// Verifying is for texts that are new.
TEST_F(TokenLedgerTest, AnUnchangedTextIsNotParsedAgain) {
  const auto text = Sealed(7);
  const auto first = seal_.Judge(text)->ledger;
  seal_.EndRound();
  EXPECT_EQ(seal_.Judge(text)->ledger, first);
  seal_.EndRound();
  seal_.EndRound();
  EXPECT_NE(seal_.Judge(text)->ledger, first);  // forgotten, for it was not among those read
}

}  // namespace
}  // namespace assertion
