#include "observe/key_log.h"

#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <sstream>

#include "replica.h"
#include "softhsm.h"

namespace assertion {
namespace {

using std::chrono::days;

class KeyLogTest : public testing::Test {
 protected:
  KeyLogTest() : certifier_(*x509::Certifier::New(SOFTHSM2_MODULE)) {
    auto log = std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(lines_));
    log->set_pattern("%l %v");
    spdlog::set_default_logger(std::move(log));
  }

  ~KeyLogTest() override { spdlog::set_default_logger(before_); }

  // The lines that one call of LogChanges writes.
  std::string LinesOf(Replica& replica) {
    lines_.str("");
    key_log_.LogChanges(replica.ring());
    return lines_.str();
  }

  const std::shared_ptr<spdlog::logger> before_ = spdlog::default_logger();
  std::ostringstream lines_;
  LoggedInSoftHsm hsm_;
  std::unique_ptr<x509::Certifier> certifier_;
  Time now_{std::chrono::seconds(1'800'000'000)};
  KeyLog key_log_;
};

TEST_F(KeyLogTest, TellsEachChangeOfTheSigningKeyOnce) {
  Replica replica(hsm_.token(), *certifier_, {Named("orders")}, now_);
  EXPECT_EQ(LinesOf(replica),
            "warning client orders has no key that signs now: assertionctl status says what it needs\n");
  EXPECT_EQ(LinesOf(replica), "");
  const auto first = replica.Generate("orders");
  EXPECT_EQ(LinesOf(replica), "info client orders signs with key " + first + "\n");
  const auto second = replica.custodian().Rotate(replica.Change("orders"), Replica::NewKey(), now_ + days(1));
  ASSERT_TRUE(second);
  EXPECT_EQ(LinesOf(replica), "");
  now_ += days(1);
  EXPECT_TRUE(LinesOf(replica).starts_with("info client orders signs with key " + *second + "\n"));
}

TEST_F(KeyLogTest, TellsAMissingOwnKeyOnceAndItsReturn) {
  Replica replica(hsm_.token(), *certifier_, {}, now_);
  const auto& algorithm = kAlgorithms.front();
  const NewKey key{.label = std::string(kTlsKeyLabel), .id = {7}, .algorithm = &algorithm, .bits = 2048};
  ASSERT_TRUE(hsm_.token().GenerateKeyPair(key));
  replica.ring().Need(kTlsKeyLabel, {7});
  ASSERT_TRUE(replica.ring().Refresh());
  EXPECT_EQ(LinesOf(replica), "");
  ASSERT_TRUE(hsm_.token().DestroyKey(Bytes{7}));
  ASSERT_TRUE(replica.ring().Refresh());
  EXPECT_EQ(LinesOf(replica),
            "error assertiond's own key 'assertiond-tls' with CKA_ID 07 is not on the token: what it signs fails until "
            "it is back\n");
  EXPECT_EQ(LinesOf(replica), "");
  ASSERT_TRUE(hsm_.token().GenerateKeyPair(key));
  ASSERT_TRUE(replica.ring().Refresh());
  EXPECT_EQ(LinesOf(replica), "info assertiond's own key 'assertiond-tls' with CKA_ID 07 is on the token again\n");
}

TEST_F(KeyLogTest, WarnsOfExpiryOnceADay) {
  Replica replica(hsm_.token(), *certifier_, {Named("orders")}, now_);
  const auto kid = replica.Generate("orders");  // certified for 30 days
  const auto expiry = Rfc3339(now_ + days(30));
  EXPECT_EQ(LinesOf(replica), "info client orders signs with key " + kid + "\n");
  now_ += days(1);
  EXPECT_EQ(LinesOf(replica), "warning client orders: the certificate of key " + kid + " expires on " + expiry + "\n");
  now_ += std::chrono::hours(23);
  EXPECT_EQ(LinesOf(replica), "");
  now_ += days(30);
  EXPECT_TRUE(LinesOf(replica).ends_with("warning client orders: the certificate of key " + kid + " expired on " +
                                         expiry + "\n"));
}

TEST_F(KeyLogTest, TellsAtTheExpiryThatTheClientCannotSign) {
  Replica replica(hsm_.token(), *certifier_, {Named("orders")}, now_);
  const auto kid = replica.Generate("orders");  // certified for 30 days
  now_ += days(30);
  static_cast<void>(LinesOf(replica));
  now_ += std::chrono::seconds(1);
  EXPECT_EQ(LinesOf(replica), "warning client orders cannot sign: key " + kid +
                                  " waits for a certificate that has not expired: see assertionctl status\n");
  EXPECT_EQ(LinesOf(replica), "");
}

TEST_F(KeyLogTest, TellsWhatAKeyWaitsFor) {
  auto client = Named("orders");
  client.profile.kid = KidForm::kAssigned;
  Replica replica(hsm_.token(), *certifier_, {client}, now_);
  const auto kid = replica.Generate("orders");
  EXPECT_EQ(LinesOf(replica), "warning client orders cannot sign: key " + kid +
                                  " waits for a kid in clients[].kids: see assertionctl status\n");
  client.profile.kids[kid] = "theirs";
  ASSERT_TRUE(replica.ring().Reconfigure({client}));
  EXPECT_EQ(LinesOf(replica), "info client orders signs with key " + kid + "\n");
}

TEST_F(KeyLogTest, TellsOnceOfKeysThatARemovedClientLeaves) {
  Replica replica(hsm_.token(), *certifier_, {Named("orders"), Named("billing")}, now_);
  replica.Generate("orders");
  static_cast<void>(LinesOf(replica));
  const auto reconfigure = [&](std::vector<Client> clients) {
    EXPECT_TRUE(replica.ring().Reconfigure(std::move(clients)));
  };
  reconfigure({Named("billing")});
  const std::string left =
      "warning client orders is not in the configuration, and its ledger has keys nevertheless (1): configure it again "
      "to destroy them, or keep them\n";
  EXPECT_EQ(LinesOf(replica), left);
  EXPECT_EQ(LinesOf(replica), "");
  Replica restarted(hsm_.token(), *certifier_, {Named("billing")}, now_, "restarted");
  KeyLog log;
  lines_.str("");
  log.LogChanges(restarted.ring());
  EXPECT_TRUE(lines_.str().contains(left)) << lines_.str();
  reconfigure({Named("billing"), Named("orders")});
  EXPECT_TRUE(replica.ring().KeysLeftBehind()->empty());
}

}  // namespace
}  // namespace assertion
