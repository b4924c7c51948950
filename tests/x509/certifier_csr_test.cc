#include <gtest/gtest.h>

#include "certificate_authority.h"
#include "softhsm.h"
#include "wrapped_token.h"
#include "x509/certificate.h"
#include "x509/certifier.h"
#include "x509/chain.h"

namespace assertion::x509 {
namespace {

constexpr Time kNow(std::chrono::seconds(1'800'000'000));

// Requests of a key in SoftHSM, read and answered by openssl commands.
class CsrTest : public testing::Test {
 protected:
  CsrTest()
      : certifier_(*Certifier::New(SOFTHSM2_MODULE)),
        key_(*hsm_.token().GenerateKeyPair(
            {.label = "orders", .id = {7}, .algorithm = kAlgorithms.data(), .bits = 2048})) {}

  CsrRequest Request() {
    return {.key = {.token = &hsm_.token(), .id = {7}, .public_key = key_.public_key, .algorithm = kAlgorithms.data()},
            .subject = "CN=orders,O=Example\\, Ltd,C=DE",
            .subject_alt_names = {}};
  }

  std::string Csr(const CsrRequest& request) {
    auto csr = certifier_->CreateCsr(request);
    EXPECT_TRUE(csr) << csr.error().ToString();
    return csr ? *csr : "";
  }

  // What `openssl req` prints about a request.
  std::string Show(const std::string& csr, const std::string& options) {
    root_.Write("shown.csr", csr);
    return root_.Run("openssl req -in shown.csr -noout " + options);
  }

  // By the key in it. openssl says so on standard error, newer ones on standard output.
  void ExpectVerified(const std::string& csr) {
    const auto output = Show(csr, "-verify");
    EXPECT_EQ(output + root_.Read("stderr"), "Certificate request self-signature verify OK\n");
  }

  std::string ReasonOf(const CsrRequest& request) {
    const auto csr = certifier_->CreateCsr(request);
    if (csr) {
      return "accepted";
    }
    EXPECT_EQ(csr.error().code, Code::kInvalidArgument);
    return csr.error().message;
  }

  // The key asks for a certificate and signs its own; openssl verifies both.
  void ExpectCertified(Token& token, const TokenKey& key, const Algorithm& algorithm);

  LoggedInSoftHsm hsm_;
  std::unique_ptr<Certifier> certifier_;
  TokenKey key_;
  CertificateAuthority root_{"Test Root", CertificateAuthority::kRsa};
  CertificateAuthority issuer_{"Test Issuer", CertificateAuthority::kEc, root_};
};

TEST_F(CsrTest, OpensslVerifiesItAndReadsTheSubjectBack) {
  const auto csr = Csr(Request());
  EXPECT_EQ(csr.substr(0, 36), "-----BEGIN CERTIFICATE REQUEST-----\n");
  EXPECT_EQ(csr.find('\r'), std::string::npos);
  ExpectVerified(csr);
  EXPECT_EQ(Show(csr, "-subject -nameopt RFC2253"), "subject=CN=orders,O=Example\\, Ltd,C=DE\n");
  const auto text = Show(csr, "-text");
  EXPECT_NE(text.find("Version: 1 (0x0)"), std::string::npos) << text;
  EXPECT_NE(text.find("Signature Algorithm: sha256WithRSAEncryption"), std::string::npos) << text;
  EXPECT_NE(text.find("X509v3 Key Usage: critical\n                    Digital Signature\n"), std::string::npos)
      << text;
  EXPECT_EQ(text.find("Alternative"), std::string::npos) << text;
}

TEST_F(CsrTest, OpensslReadsTheAlternativeNamesBack) {
  auto request = Request();
  request.subject_alt_names = {"DNS:orders.example.com", "URI:spiffe://example.com/orders?a=1,2",
                               "email:ops@example.com", "IP:192.0.2.7", "IP:2001:db8::7"};
  const auto text = Show(Csr(request), "-text");
  EXPECT_NE(text.find("X509v3 Subject Alternative Name: \n"
                      "                    DNS:orders.example.com, URI:spiffe://example.com/orders?a=1,2, "
                      "email:ops@example.com, IP Address:192.0.2.7, IP Address:2001:DB8:0:0:0:0:0:7\n"),
            std::string::npos)
      << text;
}

TEST_F(CsrTest, AnEmptySubjectMakesTheAlternativeNamesCritical) {
  auto request = Request();
  request.subject = "";
  EXPECT_EQ(ReasonOf(request), "subject: must not be empty without subject_alt_names");
  request.subject_alt_names = {"DNS:orders.example.com"};
  const auto text = Show(Csr(request), "-text");
  EXPECT_NE(text.find("X509v3 Subject Alternative Name: critical\n"), std::string::npos) << text;
  EXPECT_NE(text.find("Subject: \n"), std::string::npos) << text;
}

TEST_F(CsrTest, TheCertificateThatAnAuthorityIssuesVerifies) {
  auto request = Request();
  request.subject_alt_names = {"DNS:orders.example.com"};
  const auto issued = issuer_.Sign(Csr(request));
  const auto chain = ParseChain(issued + issuer_.certificate() + root_.certificate());
  ASSERT_TRUE(chain) << chain.error().ToString();
  const auto verified = VerifyChain(*chain, key_.public_key, kNow);
  EXPECT_TRUE(verified) << verified.error().ToString();
  // As an importer stores it.
  const auto subject = SubjectOf(chain->front());
  ASSERT_TRUE(subject);
  ASSERT_TRUE(hsm_.token().StoreCertificate("orders", Bytes{7}, *subject, chain->front().der));
  EXPECT_EQ(hsm_.token().Read({"orders"})->certificates.front().value, chain->front().der);

  issuer_.Write("issued.pem", issued);
  EXPECT_EQ(issuer_.Run("openssl x509 -in issued.pem -noout -ext subjectAltName,keyUsage"),
            "X509v3 Key Usage: critical\n    Digital Signature\n"
            "X509v3 Subject Alternative Name: \n    DNS:orders.example.com\n");
}

// What openssl says of a signature of the algorithm.
std::string SignatureText(const Algorithm& algorithm) {
  const auto digest = algorithm.digest == nullptr ? "" : std::string(algorithm.digest->name).substr(3);
  if (algorithm.padding == Padding::kPss) {
    return "Signature Algorithm: rsassaPss";
  }
  return "Signature Algorithm: " + (algorithm.padding == Padding::kPkcs1 ? "sha" + digest + "WithRSAEncryption"
                                    : algorithm.curve->key_type == &kEc  ? "ecdsa-with-SHA" + digest
                                                                         : "ED25519");
}

// Of a PSS signature, which must have the digest and the salt of the algorithm (RFC 4055 section 3.1).
void ExpectPssParameters(const std::string& text, const Digest& digest) {
  const auto name = "sha" + std::string(digest.name).substr(3);
  for (const auto& part : {"Hash Algorithm: " + name + "\n", "Mask Algorithm: mgf1 with " + name + "\n",
                           "Salt Length: 0x" + Hex(Bytes{static_cast<std::uint8_t>(digest.octets)}) + "\n"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << text;
  }
}

// A token that OpenSSL's provider finds no key on.
class NoReferenceToken final : public WrappedToken {
 public:
  using WrappedToken::WrappedToken;
  Result<PrivateKeyReference> PrivateKeyOf(BytesView /*id*/) override { return Fail(Code::kInternal, "no reference"); }
};

void CsrTest::ExpectCertified(Token& token, const TokenKey& key, const Algorithm& algorithm) {
  auto request = Request();
  request.key = {.token = &token, .id = key.id, .public_key = key.public_key, .algorithm = &algorithm};
  const auto csr = Csr(request);
  ExpectVerified(csr);
  const auto text = Show(csr, "-text");
  EXPECT_NE(text.find(SignatureText(algorithm) + "\n"), std::string::npos) << text;

  const auto chain = ParseChain(issuer_.Sign(csr) + issuer_.certificate() + root_.certificate());
  ASSERT_TRUE(chain) << chain.error().ToString();
  const auto verified = VerifyChain(*chain, key.public_key, kNow);
  EXPECT_TRUE(verified) << verified.error().ToString();

  const auto own = certifier_->SelfSign({.key = request.key,
                                         .common_name = "orders",
                                         .subject_alt_names = {},
                                         .not_before = kNow,
                                         .not_after = kNow + std::chrono::days(1)});
  ASSERT_TRUE(own) << own.error().ToString();
  root_.Write("own.pem", ToPem({&own->certificate, 1}));
  EXPECT_EQ(root_.Run("openssl verify -attime 1800000000 -check_ss_sig -CAfile own.pem own.pem"), "own.pem: OK\n");
  const auto shown = root_.Run("openssl x509 -in own.pem -noout -text");
  EXPECT_NE(shown.find(SignatureText(algorithm) + "\n"), std::string::npos) << shown;
  if (algorithm.padding == Padding::kPss) {
    ExpectPssParameters(text, *algorithm.digest);
    ExpectPssParameters(shown, *algorithm.digest);
  }
}

TEST_F(CsrTest, KeysOfEveryAlgorithmAskForACertificateAndSignTheirOwn) {
  for (const auto& algorithm : kAlgorithms) {
    SCOPED_TRACE(algorithm.name);
    auto key = key_;
    if (algorithm.curve != nullptr) {
      const auto made =
          hsm_.token().GenerateKeyPair({.label = "orders",
                                        .id = {static_cast<std::uint8_t>(100 + (&algorithm - kAlgorithms.data()))},
                                        .algorithm = &algorithm,
                                        .bits = algorithm.curve->bits});
      ASSERT_TRUE(made) << made.error().ToString();
      key = *made;
    }
    ExpectCertified(hsm_.token(), key, algorithm);
    NoReferenceToken token(hsm_.token());
    ExpectCertified(token, key, algorithm);
  }
}

TEST_F(CsrTest, WrongInputIsRefusedByItsField) {
  auto request = Request();
  request.subject = "orders";
  EXPECT_EQ(ReasonOf(request),
            "subject: write it as TYPE=value, separated by commas, for example CN=orders,O=Example Ltd,C=DE");
  request = Request();
  request.subject_alt_names = {"DNS:a", "DNS:b,email:copy"};
  EXPECT_EQ(ReasonOf(request),
            "subject_alt_names[1]: DNS: must be a host name, for example orders.example.com; an address goes into IP:");
  request.subject_alt_names.assign(100, "DNS:a");
  EXPECT_EQ(ReasonOf(request), "accepted");
  request.subject_alt_names.emplace_back("DNS:a");
  EXPECT_EQ(ReasonOf(request), "subject_alt_names: must be at most 100 names");
}

TEST_F(CsrTest, APublicKeyOfAnotherPairIsNoticed) {
  auto request = Request();
  std::get<RsaPublicKey>(request.key.public_key).modulus[100] ^= 1U;
  const auto csr = certifier_->CreateCsr(request);
  ASSERT_FALSE(csr);
  EXPECT_EQ(csr.error().code, Code::kInternal);
  EXPECT_EQ(csr.error().message, "the HSM made a signature that does not verify with the key's public key");
  EXPECT_NE(csr.error().detail.find("pkcs11-provider made a wrong signature"), std::string::npos)
      << csr.error().ToString();
}

TEST_F(CsrTest, AKeyThatIsNotThereIsAnError) {
  auto request = Request();
  request.key.id = {8};
  const auto csr = certifier_->CreateCsr(request);
  ASSERT_FALSE(csr);
  EXPECT_EQ(csr.error().code, Code::kLedgerUnusable) << csr.error().ToString();
}

}  // namespace
}  // namespace assertion::x509
