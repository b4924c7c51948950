#include "keys/key_administration.h"

#include <gtest/gtest.h>

#include "replica.h"
#include "softhsm.h"

namespace assertion {
namespace {

class KeyAdministrationTest : public testing::Test {
 protected:
  KeyAdministrationTest()
      : certifier_(*x509::Certifier::New(SOFTHSM2_MODULE)),
        replica_(hsm_.token(), *certifier_, {Named("orders"), SigningWithAnExpiredCertificate("billing")}, now_),
        administration_(
            [this] {
              return std::vector<AdministeredHsm>{
                  {.name = "test", .token = hsm_.token(), .keys = replica_.ring(), .custodian = replica_.custodian()}};
            },
            [](std::string_view /*client_id*/) { return NewKeyRules{.algorithm = kAlgorithms.data(), .limits = {}}; }) {
  }

  static Client SigningWithAnExpiredCertificate(const std::string& client_id) {
    auto client = Named(client_id);
    client.sign_with_expired_certificate = true;
    return client;
  }

  LoggedInSoftHsm hsm_;
  std::unique_ptr<x509::Certifier> certifier_;
  Time now_{std::chrono::seconds(1'800'000'000)};
  Replica replica_;
  KeyAdministration administration_;
};

TEST_F(KeyAdministrationTest, AKeyWithAnExpiredCertificateWaitsForAnotherUnlessItsClientSignsWithIt) {
  replica_.Generate("orders");
  replica_.Generate("billing");
  const auto waits_for = [&](const char* client_id) {
    const auto list = administration_.List("");
    EXPECT_TRUE(list);
    const auto found = std::ranges::find(list->keys, client_id, &KeyStatus::client_id);
    return found == list->keys.end() ? "no key" : found->waits_for;
  };
  now_ += std::chrono::days(30);  // the certificate's last second
  EXPECT_EQ(waits_for("orders"), "");
  now_ += std::chrono::seconds(1);
  EXPECT_EQ(waits_for("orders"), "a certificate that has not expired");
  EXPECT_EQ(waits_for("billing"), "");
  EXPECT_EQ(administration_.Get("orders", replica_.ring().Snapshot()->at("orders").keys.front().record.kid)->waits_for,
            "a certificate that has not expired");
}

TEST_F(KeyAdministrationTest, KeysOfAClientThatIsNotConfiguredAnyMoreAreCounted) {
  replica_.Generate("orders");
  replica_.Generate("orders");
  EXPECT_TRUE(administration_.List("")->left.empty());
  ASSERT_TRUE(replica_.ring().Reconfigure({Named("billing")}));
  const auto left = administration_.List("test")->left;
  ASSERT_EQ(left.size(), 1U);
  EXPECT_EQ(left.front().hsm, "test");
  EXPECT_EQ(left.front().client_id, "orders");
  EXPECT_EQ(left.front().keys, 2U);
}

TEST_F(KeyAdministrationTest, OnlyTheRevocationOfAWithdrawnKeyIsSettled) {
  const auto kid = replica_.Generate("orders");
  const auto settled = [&](bool of_destruction = false, std::int64_t later = 0) {
    auto change = replica_.Change("orders", true);
    change.expected_version += later;
    return administration_.Settled(of_destruction ? KeyChange(KeyDestruction{.change = change, .kid = kid})
                                                  : KeyChange(KeyRevocation{.change = change, .kid = kid}));
  };
  EXPECT_FALSE(settled());
  ASSERT_TRUE(administration_.Perform(KeyRevocation{.change = replica_.Change("orders", true), .kid = kid}));
  const auto again = settled();
  ASSERT_TRUE(again && again->key);
  EXPECT_EQ(again->key->entry.record.kid, kid);
  EXPECT_EQ(again->key->version, replica_.VersionOf("orders"));
  EXPECT_FALSE(settled(false, 1)) << "decided on another version";
  EXPECT_FALSE(settled(true));
  EXPECT_FALSE(administration_.Settled(KeyRevocation{.change = replica_.Change("orders"), .kid = "none"}));
}

TEST_F(KeyAdministrationTest, AnUnknownHsmIsNamedWithThoseThatThereAre) {
  EXPECT_EQ(administration_.List("a\"b\x01").error().message, "hsm: no HSM named \"a\\x22b\\x01\" (available: test)");
}

}  // namespace
}  // namespace assertion
