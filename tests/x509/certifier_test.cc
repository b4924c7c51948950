#include "x509/certifier.h"

#include <gtest/gtest.h>
#include <openssl/ui.h>
#include <openssl/x509v3.h>

#include <array>

#include "softhsm.h"
#include "wrapped_token.h"
#include "x509/certificate.h"
#include "x509/openssl.h"

namespace assertion::x509 {
namespace {

class CertifierTest : public testing::Test {
 protected:
  CertifierTest()
      : certifier_(*Certifier::New(SOFTHSM2_MODULE)),
        key_(*hsm_.token().GenerateKeyPair(
            {.label = "orders", .id = {7}, .algorithm = kAlgorithms.data(), .bits = 2048})) {}

  SelfSignedRequest Request() {
    return {.key = {.token = &hsm_.token(), .id = {7}, .public_key = key_.public_key, .algorithm = kAlgorithms.data()},
            .common_name = "Ünïcode orders",
            .subject_alt_names = {},
            .not_before = Time(std::chrono::seconds(1'800'000'000)),
            .not_after = Time(std::chrono::seconds(1'900'000'000))};
  }

  LoggedInSoftHsm hsm_;
  std::unique_ptr<Certifier> certifier_;
  TokenKey key_;
};

TEST_F(CertifierTest, MakesAnEndEntityCertificateOfTheKey) {
  const auto made = certifier_->SelfSign(Request());
  ASSERT_TRUE(made) << made.error().ToString();
  const auto& certificate = made->certificate;
  EXPECT_EQ(certificate.public_key, key_.public_key);
  EXPECT_EQ(certificate.not_before, Request().not_before);
  EXPECT_EQ(certificate.not_after, Request().not_after);

  const auto* in = certificate.der.data();
  const X509Ptr x509(d2i_X509(nullptr, &in, static_cast<long>(certificate.der.size())));
  ASSERT_TRUE(x509);
  EXPECT_EQ(X509_get_version(x509.get()), X509_VERSION_3);
  EXPECT_EQ(X509_verify(x509.get(), X509_get0_pubkey(x509.get())), 1);
  // Not X509_check_ca: it says no to CA:TRUE as well when the key usage has no keyCertSign.
  EXPECT_EQ(X509_get_extension_flags(x509.get()) & (EXFLAG_BCONS | EXFLAG_CA),
            static_cast<std::uint32_t>(EXFLAG_BCONS));
  EXPECT_EQ(X509_get_key_usage(x509.get()), static_cast<std::uint32_t>(KU_DIGITAL_SIGNATURE));
  EXPECT_EQ(X509_get_signature_nid(x509.get()), NID_sha256WithRSAEncryption);
  EXPECT_LE(ASN1_STRING_length(X509_get0_serialNumber(x509.get())), 20);
}

TEST_F(CertifierTest, SerialNumbersDiffer) {
  EXPECT_NE(certifier_->SelfSign(Request())->certificate.der, certifier_->SelfSign(Request())->certificate.der);
}

TEST_F(CertifierTest, APublicKeyOfAnotherPairIsNoticed) {
  auto request = Request();
  std::get<RsaPublicKey>(request.key.public_key).modulus[100] ^= 1U;
  EXPECT_FALSE(certifier_->SelfSign(request));
}

TEST_F(CertifierTest, AKeyThatIsNotThereIsAnError) {
  auto request = Request();
  request.key.id = {8};
  const auto made = certifier_->SelfSign(request);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Code::kLedgerUnusable) << made.error().ToString();
}

TEST_F(CertifierTest, TheProviderSignsWithTheKey) {
  const auto tried = certifier_->TryProvider(Request().key);
  EXPECT_TRUE(tried) << tried.error().ToString();
}

TEST_F(CertifierTest, TheProviderIsNotUsedWhereItCouldLogIn) {
  class PinPadToken final : public WrappedToken {
   public:
    using WrappedToken::WrappedToken;
    TokenDescription Describe() const override {
      auto description = WrappedToken::Describe();
      description.flags.emplace_back("CKF_PROTECTED_AUTHENTICATION_PATH");
      return description;
    }
  };
  PinPadToken token(hsm_.token());
  auto request = Request();
  request.key.token = &token;
  const auto tried = certifier_->TryProvider(request.key);
  ASSERT_FALSE(tried);
  EXPECT_EQ(tried.error().code, Code::kFailedPrecondition);
  EXPECT_TRUE(certifier_->SelfSign(request)) << "through our own session";
}

// A prompt of OpenSSL's, wherever it comes from, fails instead of waiting for somebody at a terminal.
TEST_F(CertifierTest, NothingPromptsOnATerminal) {
  const std::unique_ptr<UI, Deleter<UI_free>> prompt(UI_new());
  std::array<char, 8> pin = {'u', 'n', 'r', 'e', 'a', 'd'};
  ASSERT_GT(UI_add_input_string(prompt.get(), "PIN", 0, pin.data(), 0, pin.size() - 1), 0);
  EXPECT_LT(UI_process(prompt.get()), 0);
  EXPECT_STREQ(pin.data(), "unread");
}

TEST_F(CertifierTest, PemBeginsWithADashEndsLinesWithLfAndReadsBack) {
  const auto made = certifier_->SelfSign(Request());
  const auto pem = ToPem({&made->certificate, 1});
  EXPECT_EQ(pem.substr(0, 28), "-----BEGIN CERTIFICATE-----\n");
  EXPECT_EQ(pem.find('\r'), std::string::npos);
  EXPECT_TRUE(pem.ends_with("-----END CERTIFICATE-----\n"));
  EXPECT_EQ(ParsePem(pem)->der, made->certificate.der);
  EXPECT_EQ(ParseCertificate(made->certificate.der)->public_key, key_.public_key);
  auto longer = made->certificate.der;
  longer.push_back(0);
  EXPECT_FALSE(ParseCertificate(longer));
}

TEST(Certificate, GarbageIsRefused) {
  EXPECT_FALSE(ParseCertificate({}));
  EXPECT_FALSE(ParseCertificate(AsBytes("garbage")));
  EXPECT_FALSE(ParsePem(""));
  EXPECT_FALSE(ParsePem("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"));
}

}  // namespace
}  // namespace assertion::x509
