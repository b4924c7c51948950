#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "faulty_hsm/faulty_hsm.h"
#include "x509/certifier.h"
#include "x509/pkcs11_provider.h"

namespace assertion::x509 {
namespace {

// A token with few sessions. One of them keeps our login.
class CertifierSessionsTest : public testing::Test {
 protected:
  CertifierSessionsTest()
      : certifier_(*Certifier::New(FaultyHsm::Module())),
        key_(*hsm_.token().GenerateKeyPair(
            {.label = "orders", .id = {7}, .algorithm = kAlgorithms.data(), .bits = 2048})) {}

  void AllowSessions(int count) { hsm_.Tell("sessions " + std::to_string(count)); }

  CertifiedKey Key() {
    return {.token = &hsm_.token(), .id = {7}, .public_key = key_.public_key, .algorithm = kAlgorithms.data()};
  }

  Status SelfSign() {
    const auto made = certifier_->SelfSign({.key = Key(),
                                            .common_name = "orders",
                                            .subject_alt_names = {},
                                            .not_before = Time(std::chrono::seconds(1'800'000'000)),
                                            .not_after = Time(std::chrono::seconds(1'900'000'000))});
    return made ? Status() : std::unexpected(made.error());
  }

  Status CreateCsr() {
    const auto csr = certifier_->CreateCsr({.key = Key(), .subject = "CN=orders", .subject_alt_names = {}});
    return csr ? Status() : std::unexpected(csr.error());
  }

  // Signs twenty times, then tries the provider.
  void ExpectTwentySignatures() {
    for (int i = 0; i < 10; ++i) {
      const auto certified = SelfSign();
      ASSERT_TRUE(certified) << certified.error().ToString();
      const auto asked = CreateCsr();
      ASSERT_TRUE(asked) << asked.error().ToString();
    }
    const auto tried = certifier_->TryProvider(Key());
    EXPECT_TRUE(tried) << tried.error().ToString();
  }

  std::size_t FreeSessions() {
    std::vector<std::unique_ptr<SigningSession>> opened;
    for (auto session = hsm_.token().OpenSigningSession(); session; session = hsm_.token().OpenSigningSession()) {
      opened.push_back(std::move(*session));
    }
    return opened.size();
  }

  FaultyHsm hsm_;
  std::unique_ptr<Certifier> certifier_;
  TokenKey key_;
};

TEST_F(CertifierSessionsTest, TwentySignaturesKeepTwoSessions) {
  AllowSessions(7);
  ASSERT_EQ(FreeSessions(), 6U);
  ExpectTwentySignatures();
  EXPECT_EQ(FreeSessions(), 6U - Pkcs11Provider::kSessions);
}

TEST_F(CertifierSessionsTest, TheProviderSignsAgainAfterAReload) {
  AllowSessions(7);
  ExpectTwentySignatures();
  for (int i = 0; i < 3; ++i) {
    const auto reloaded = hsm_.token().Reconnect(Reconnection::kReload);
    ASSERT_TRUE(reloaded) << reloaded.error().ToString();
    ExpectTwentySignatures();
  }
  EXPECT_EQ(FreeSessions(), 6U - Pkcs11Provider::kSessions);
}

TEST_F(CertifierSessionsTest, OurOwnSessionSignsWhereTheProviderWouldTakeTheLastOne) {
  AllowSessions(3);
  const auto tried = certifier_->TryProvider(Key());
  ASSERT_FALSE(tried);
  EXPECT_EQ(tried.error().message, "pkcs11-provider is not used: the HSM does not give it three sessions");
  const auto certified = SelfSign();
  EXPECT_TRUE(certified) << certified.error().ToString();
  EXPECT_EQ(FreeSessions(), 2U);
}

TEST_F(CertifierSessionsTest, ATokenWithoutAFreeSessionIsAnErrorThatSaysSo) {
  AllowSessions(1);
  const auto asked = CreateCsr();
  ASSERT_FALSE(asked);
  EXPECT_EQ(asked.error().code, Code::kUnavailable);
  EXPECT_EQ(asked.error().message, "the HSM has no free session; try again");
}

}  // namespace
}  // namespace assertion::x509
