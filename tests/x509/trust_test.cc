#include "x509/trust.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "certificate_authority.h"

namespace assertion::x509 {
namespace {

constexpr const char* kCaller = "basicConstraints=critical,CA:FALSE\nextendedKeyUsage=clientAuth\n";

class TrustTest : public testing::Test {
 protected:
  TrustTest() { std::filesystem::create_directory(crls()); }

  std::string crls() const { return authority_.directory() / "crls"; }

  std::string Issue(const char* extensions = kCaller) {
    return authority_.Sign(authority_.RequestFor("/CN=caller"), {.extensions = extensions});
  }

  void Revoke(const std::string& certificate) {
    authority_.Write("revoked.pem", certificate);
    OpensslCa("-revoke revoked.pem");
  }

  // With `options` of `openssl ca -gencrl` beside.
  void WriteCrl(const std::string& options = "-crldays 30") { OpensslCa("-gencrl -out crls/ca.crl " + options); }

  void OpensslCa(const std::string& arguments) {
    authority_.Write("crl.cnf",
                     "[ca]\ndefault_ca=ca\n[ca]\ndatabase=crl.txt\ndefault_md=sha256\ncertificate=crl_ca.pem\n"
                     "private_key=ca.key\nunique_subject=no\n");
    authority_.Write("crl_ca.pem", authority_.certificate());
    authority_.Run("touch crl.txt && openssl ca -config crl.cnf " + arguments);
  }

  void ExpectRefused(const Result<Trust>& trust, const std::string& certificate, const std::string& reason) const {
    ASSERT_TRUE(trust) << trust.error().ToString();
    const auto verified = trust->Verify(certificate);
    ASSERT_FALSE(verified);
    EXPECT_EQ(verified.error().code, Code::kUnauthenticated);
    EXPECT_NE(verified.error().message.find(reason), std::string::npos) << verified.error().message;
  }

  CertificateAuthority authority_{"callers", CertificateAuthority::kRsa};
};

TEST_F(TrustTest, WithoutCrlsWhoWasIssuedToIsBelieved) {
  const auto trust = Trust::Load(authority_.certificate(), "");
  ASSERT_TRUE(trust);
  EXPECT_TRUE(trust->Verify(Issue()));
}

TEST_F(TrustTest, AnotherAuthorityIsNot) {
  CertificateAuthority other("callers", CertificateAuthority::kRsa);
  ExpectRefused(Trust::Load(other.certificate(), ""), Issue(), "the certificate is not accepted");
}

TEST_F(TrustTest, ACertificateForServersIsNone) {
  ExpectRefused(Trust::Load(authority_.certificate(), ""),
                Issue("basicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth\n"), "purpose");
}

TEST_F(TrustTest, WhatIsRevokedIsRefusedAndTheRestIsNot) {
  const auto good = Issue();
  const auto bad = Issue();
  Revoke(bad);
  WriteCrl();
  const auto trust = Trust::Load(authority_.certificate(), crls());
  ExpectRefused(trust, bad, "revoked");
  EXPECT_TRUE(trust->Verify(good));
}

TEST_F(TrustTest, AnAuthorityWithoutACrlVouchesForNobody) {
  ExpectRefused(Trust::Load(authority_.certificate(), crls()), Issue(), "unable to get certificate CRL");
}

TEST_F(TrustTest, NorDoesOneWhoseCrlIsOutOfDate) {
  WriteCrl("-crl_lastupdate 20200101000000Z -crl_nextupdate 20200201000000Z");
  ExpectRefused(Trust::Load(authority_.certificate(), crls()), Issue(), "CRL has expired");
}

TEST_F(TrustTest, ACrlOfAnotherKeyDoesNotCount) {
  WriteCrl();
  CertificateAuthority other("callers", CertificateAuthority::kRsa);
  ExpectRefused(Trust::Load(other.certificate(), crls()), other.Sign(other.RequestFor("/CN=caller")),
                "CRL signature failure");
}

TEST_F(TrustTest, RefusesWhatIsNoCrlOrNoAuthority) {
  EXPECT_FALSE(Trust::Load("nothing", ""));
  EXPECT_FALSE(Trust::Load(authority_.certificate(), "/nowhere"));
  std::ofstream(crls() + "/notes.txt") << "hello";
  const auto trust = Trust::Load(authority_.certificate(), crls());
  ASSERT_FALSE(trust);
  EXPECT_NE(trust.error().message.find("notes.txt"), std::string::npos);
}

}  // namespace
}  // namespace assertion::x509
