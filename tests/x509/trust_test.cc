#include "x509/trust.h"

#include <gtest/gtest.h>
#include <openssl/err.h>

#include <ctime>
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

  void Revoke(const std::string& certificate) { RevokeBy(authority_, certificate); }

  static void RevokeBy(const CertificateAuthority& authority, const std::string& certificate) {
    authority.Write("revoked.pem", certificate);
    OpensslCa(authority, "-revoke revoked.pem");
  }

  // Into the folder of authority_'s.
  void WriteCrlOf(const CertificateAuthority& authority, const std::string& file) const {
    OpensslCa(authority, "-gencrl -crldays 30 -out " + (authority_.directory() / "crls" / file).string());
  }

  // With `options` of `openssl ca -gencrl` beside.
  void WriteCrl(const std::string& options = "-crldays 30") {
    OpensslCa(authority_, "-gencrl -out crls/ca.crl " + options);
  }

  static void OpensslCa(const CertificateAuthority& authority, const std::string& arguments) {
    authority.Write("crl.cnf",
                    "[ca]\ndefault_ca=ca\n[ca]\ndatabase=crl.txt\ndefault_md=sha256\ncertificate=crl_ca.pem\n"
                    "private_key=ca.key\nunique_subject=no\n");
    authority.Write("crl_ca.pem", authority.certificate());
    authority.Run("touch crl.txt && openssl ca -config crl.cnf " + arguments);
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

TEST_F(TrustTest, TellsTheFirstEndOfAnAuthorityAndOfItsLatestCrl) {
  const auto at = [](const char* time) {
    std::tm parts{};
    strptime(time, "%Y%m%d%H%M%SZ", &parts);
    return timegm(&parts);
  };
  WriteCrl("-crl_lastupdate 20200101000000Z -crl_nextupdate 20200201000000Z");
  EXPECT_EQ(Trust::Load(authority_.certificate(), crls())->crls_until(), at("20200201000000Z"));
  OpensslCa(authority_, "-gencrl -out crls/newer.crl -crl_lastupdate 20200115000000Z -crl_nextupdate 20300201000000Z");
  EXPECT_EQ(Trust::Load(authority_.certificate(), crls())->crls_until(), at("20300201000000Z"));
  CertificateAuthority other("others", CertificateAuthority::kRsa);
  OpensslCa(other, "-gencrl -crl_lastupdate 20200115000000Z -crl_nextupdate 20290201000000Z -out " + crls() + "/o.crl");
  const auto sooner = other.SignItself({.extensions = CertificateAuthority::kCa, .not_after = "20350101000000Z"});
  const auto trust = Trust::Load(authority_.certificate() + sooner, crls());
  ASSERT_TRUE(trust) << trust.error().ToString();
  EXPECT_EQ(trust->crls_until(), at("20290201000000Z"));
  EXPECT_EQ(trust->authorities_until(), at("20350101000000Z"));
  EXPECT_EQ(Trust::Load(sooner, "")->crls_until(), std::nullopt);
}

TEST_F(TrustTest, ACrlOfAnotherKeyDoesNotCount) {
  WriteCrl();
  CertificateAuthority other("callers", CertificateAuthority::kRsa);
  ExpectRefused(Trust::Load(other.certificate(), crls()), other.Sign(other.RequestFor("/CN=caller")),
                "CRL signature failure");
}

// authority_ is the root; a leaf's issuer is two below.
class ChainTrustTest : public TrustTest {
 protected:
  std::string Below() { return issuing_.Sign(issuing_.RequestFor("/CN=caller"), {.extensions = kCaller}); }

  Result<Trust> LoadAll() const {
    return Trust::Load(authority_.certificate() + middle_.certificate() + issuing_.certificate(), crls());
  }

  CertificateAuthority middle_{"middle", CertificateAuthority::kEc, authority_};
  CertificateAuthority issuing_{"issuing", CertificateAuthority::kEc, middle_};
};

TEST_F(ChainTrustTest, EveryAuthorityAboveIsAskedFor) {
  const auto leaf = Below();
  WriteCrlOf(issuing_, "issuing.crl");
  WriteCrlOf(middle_, "middle.crl");
  ExpectRefused(LoadAll(), leaf, "an authority above it: unable to get certificate CRL");
  WriteCrlOf(authority_, "root.crl");
  const auto trust = LoadAll();
  ASSERT_TRUE(trust);
  EXPECT_TRUE(trust->Verify(leaf)) << trust->Verify(leaf).error().ToString();
}

TEST_F(ChainTrustTest, OneThatItsIssuerRevokedVouchesForNobody) {
  const auto leaf = Below();
  WriteCrlOf(issuing_, "issuing.crl");
  RevokeBy(authority_, middle_.certificate());
  WriteCrlOf(authority_, "root.crl");
  WriteCrlOf(middle_, "middle.crl");
  ExpectRefused(LoadAll(), leaf, "an authority above it: certificate revoked");
}

TEST_F(ChainTrustTest, OneWhoseIssuerIsUnknownEndsTheChainAndThoseBelowItAreAskedFor) {
  const auto leaf = Below();
  const auto both = middle_.certificate() + issuing_.certificate();
  WriteCrlOf(issuing_, "issuing.crl");
  ExpectRefused(Trust::Load(both, crls()), leaf, "unable to get certificate CRL");
  WriteCrlOf(middle_, "middle.crl");
  const auto trust = Trust::Load(both, crls());
  ASSERT_TRUE(trust);
  EXPECT_TRUE(trust->Verify(leaf)) << trust->Verify(leaf).error().ToString();
  RevokeBy(middle_, issuing_.certificate());
  WriteCrlOf(middle_, "middle.crl");
  ExpectRefused(Trust::Load(both, crls()), leaf, "an authority above it: certificate revoked");
}

TEST_F(ChainTrustTest, ACrlOfAnUnknownIssuerCannotBeVerifiedAndIsNotPassedOver) {
  const auto leaf = Below();
  WriteCrlOf(issuing_, "issuing.crl");
  EXPECT_TRUE(Trust::Load(issuing_.certificate(), crls())->Verify(leaf));
  RevokeBy(middle_, issuing_.certificate());
  WriteCrlOf(middle_, "middle.crl");
  ExpectRefused(Trust::Load(issuing_.certificate(), crls()), leaf, "an authority above it: ");
}

TEST_F(ChainTrustTest, AVerdictHoldsUntilTheFirstOfCertificatesAndCrlsExpires) {
  const auto leaf =
      issuing_.Sign(issuing_.RequestFor("/CN=caller"), {.extensions = kCaller, .not_after = "20351231000000Z"});
  const auto without = Trust::Load(authority_.certificate() + middle_.certificate() + issuing_.certificate(), "");
  EXPECT_EQ(without->Verify(leaf).value_or(0), 2082672000) << "2035-12-31";
  WriteCrlOf(issuing_, "issuing.crl");
  WriteCrlOf(middle_, "middle.crl");
  WriteCrlOf(authority_, "root.crl");
  const auto until = LoadAll()->Verify(leaf);
  ASSERT_TRUE(until) << until.error().ToString();
  EXPECT_LE(*until, std::time(nullptr) + 30 * 24 * 3600);
  EXPECT_GT(*until, std::time(nullptr) + 29 * 24 * 3600);
}

TEST_F(TrustTest, NobodyIsBelievedByNobody) {
  ExpectRefused(Trust::Nobody("not now"), Issue(), "not now");
  EXPECT_FALSE(Trust::Nobody("not now").SameAs(*Trust::Load(authority_.certificate(), "")));
}

TEST_F(TrustTest, WhatIsLoadedFromTheSameIsTheSame) {
  WriteCrl();
  const auto trust = Trust::Load(authority_.certificate(), crls());
  EXPECT_TRUE(trust->SameAs(*Trust::Load(authority_.certificate(), crls())));
  Revoke(Issue());
  WriteCrl();
  EXPECT_FALSE(trust->SameAs(*Trust::Load(authority_.certificate(), crls())));
}

TEST_F(TrustTest, ACrlCutShortFailsTheWhole) {
  WriteCrl();
  const auto crl = authority_.Read("crls/ca.crl");
  authority_.Write("crls/ca.crl", crl + crl.substr(0, crl.size() / 2));
  EXPECT_FALSE(Trust::Load(authority_.certificate(), crls()));
}

// Else nobody notices that the authorities after it are gone.
TEST_F(TrustTest, AnAuthorityThatCannotBeReadFailsTheWhole) {
  const auto whole = authority_.certificate();
  auto damaged = whole;
  damaged.insert(damaged.find('\n') + 20, "!");
  EXPECT_TRUE(Trust::Load("first\n" + whole + "second\n" + whole + "\n# the end\n", ""));
  for (const auto& bad : {damaged, whole.substr(0, whole.size() / 2)}) {
    const auto trust = Trust::Load(whole + bad + "\n" + whole, "");
    ASSERT_FALSE(trust);
    EXPECT_EQ(trust.error().message, "the PEM block after certificate 1 cannot be read");
    EXPECT_FALSE(trust.error().detail.empty());
    EXPECT_FALSE(Trust::Load(bad, ""));
  }
}

TEST_F(TrustTest, TheCauseIsNoErrorThatOtherCodeLeftBehind) {
  ERR_raise(ERR_LIB_ENGINE, ERR_R_PASSED_INVALID_ARGUMENT);
  const auto trust = Trust::Load("nothing", "");
  ASSERT_FALSE(trust);
  EXPECT_FALSE(trust.error().detail.contains("engine")) << trust.error().detail;
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
