#include "x509/chain.h"

#include <gtest/gtest.h>

#include "certificate_authority.h"
#include "x509/certificate.h"

namespace assertion::x509 {
namespace {

using std::chrono::seconds;

constexpr Time kNow(seconds(1'800'000'000));        // 2027-01-15T08:00:00Z
constexpr Time kNotBefore(seconds(1'767'225'600));  // 2026-01-01T00:00:00Z, as Issuance has it
constexpr Time kNotAfter(seconds(2'082'758'400));   // 2036-01-01T00:00:00Z

constexpr const char* kRsa = CertificateAuthority::kRsa;
constexpr const char* kEc = CertificateAuthority::kEc;

std::string ReasonOf(const Status& status) { return status ? "accepted" : status.error().message; }

std::string ReasonOf(const Result<std::vector<Certificate>>& chain) {
  return chain ? "accepted" : chain.error().message;
}

// A root with an RSA key, an authority with an EC key below it, and a request of the client "orders".
class ChainTest : public testing::Test {
 protected:
  std::string Leaf(const Issuance& issuance = {}) { return intermediate_.Sign(csr_, issuance); }

  // VerifyChain of the text, against the key of the request.
  std::string Verify(const std::string& pem, Time now = kNow) {
    const auto chain = ParseChain(pem);
    return chain ? ReasonOf(VerifyChain(*chain, key_, now)) : "not parsed: " + chain.error().ToString();
  }

  CertificateAuthority root_{"Test Root", kRsa};
  CertificateAuthority intermediate_{"Test Intermediate", kEc, root_};
  const std::string csr_ = intermediate_.RequestFor("/CN=orders");
  const std::string leaf_ = Leaf();
  const PublicKey key_ = *ParsePem(leaf_)->public_key;
};

TEST_F(ChainTest, IsVerifiedUpToWhatWasGiven) {
  EXPECT_EQ(Verify(leaf_ + intermediate_.certificate() + root_.certificate()), "accepted");
  EXPECT_EQ(Verify(leaf_ + intermediate_.certificate()), "accepted");
  EXPECT_EQ(Verify(leaf_), "accepted");
  EXPECT_EQ(Verify(root_.Sign(csr_)), "accepted");
  EXPECT_EQ(Verify(root_.Sign(csr_) + root_.certificate()), "accepted");
}

TEST_F(ChainTest, OnlyKeysThatCanSignHereAreRead) {
  const CertificateAuthority foreign("Foreign", "ec -pkeyopt ec_paramgen_curve:secp256k1");
  EXPECT_EQ(ParsePem(foreign.certificate())->public_key, std::nullopt);
  EXPECT_TRUE(std::holds_alternative<CurvePublicKey>(*ParsePem(intermediate_.certificate())->public_key));
  EXPECT_TRUE(std::holds_alternative<RsaPublicKey>(*ParsePem(root_.certificate())->public_key));
}

TEST_F(ChainTest, ASelfSignedEndEntityStandsAlone) {
  const CertificateAuthority self("orders", kRsa, Issuance());
  const auto chain = *ParseChain(self.certificate());
  EXPECT_EQ(ReasonOf(VerifyChain(chain, *chain[0].public_key, kNow)), "accepted");
  auto more = chain;
  more.push_back(ParsePem(root_.certificate()).value());
  EXPECT_EQ(ReasonOf(VerifyChain(more, *chain[0].public_key, kNow)),
            "certificate: wrong order: certificate 1 (CN=orders) signed itself, so none may follow it");
}

TEST_F(ChainTest, ASelfSignatureThatIsFalseIsRefused) {
  const CertificateAuthority self("orders", kRsa, Issuance());
  auto chain = *ParseChain(self.certificate());
  chain[0].der.back() ^= 1U;
  EXPECT_EQ(ReasonOf(VerifyChain(chain, *chain[0].public_key, kNow)),
            "certificate: certificate 1 (CN=orders): certificate signature failure");
}

TEST_F(ChainTest, WrongKey) {
  const auto reason = "certificate: wrong key: certificate 1 is not for the public key on the token";
  const auto other = intermediate_.Sign(root_.RequestFor("/CN=orders"));
  EXPECT_EQ(Verify(other + intermediate_.certificate()), reason);
  EXPECT_EQ(Verify(intermediate_.Sign(root_.RequestFor("/CN=orders", kEc))), reason);
}

TEST_F(ChainTest, Expired) {
  const auto pem = leaf_ + intermediate_.certificate();
  EXPECT_EQ(Verify(pem, kNotAfter), "accepted");  // RFC 5280 section 4.1.2.5: inclusive
  EXPECT_EQ(Verify(pem, kNotAfter + seconds(1)),
            "certificate: certificate 1 (CN=orders) expired on 2036-01-01T00:00:00Z");
  CertificateAuthority old("Old", kEc, root_,
                           {.extensions = CertificateAuthority::kCa, .not_after = "20270115075959Z"});
  EXPECT_EQ(Verify(old.Sign(csr_) + old.certificate() + root_.certificate()),
            "certificate: certificate 2 (CN=Old) expired on 2027-01-15T07:59:59Z");
}

TEST_F(ChainTest, NotYetValid) {
  const auto pem = leaf_ + intermediate_.certificate();
  EXPECT_EQ(Verify(pem, kNotBefore), "accepted");
  EXPECT_EQ(Verify(pem, kNotBefore - seconds(1)),
            "certificate: certificate 1 (CN=orders) is not valid before 2026-01-01T00:00:00Z");
  CertificateAuthority early("Early", kEc, root_,
                             {.extensions = CertificateAuthority::kCa, .not_before = "20270115080001Z"});
  EXPECT_EQ(Verify(early.Sign(csr_) + early.certificate()),
            "certificate: certificate 2 (CN=Early) is not valid before 2027-01-15T08:00:01Z");
}

TEST_F(ChainTest, BrokenChain) {
  EXPECT_EQ(Verify(leaf_ + root_.certificate()),
            "certificate: broken chain: certificate 2 (CN=Test Root) did not sign certificate 1 (CN=orders)");
  const CertificateAuthority other("Test Root", kRsa);
  EXPECT_EQ(
      Verify(leaf_ + intermediate_.certificate() + other.certificate()),
      "certificate: broken chain: certificate 3 (CN=Test Root) did not sign certificate 2 (CN=Test Intermediate)");
  // Of the right name and kind of key, but not the one that signed.
  const CertificateAuthority namesake("Test Intermediate", kEc, root_);
  EXPECT_EQ(Verify(leaf_ + namesake.certificate()),
            "certificate: broken chain: certificate 2 (CN=Test Intermediate) did not sign certificate 1 (CN=orders)");
}

TEST_F(ChainTest, WrongOrder) {
  EXPECT_EQ(Verify(root_.certificate() + intermediate_.certificate() + leaf_),
            "certificate: wrong order: certificate 3 is the one for the key; put it first, then each one's issuer");
  EXPECT_EQ(Verify(leaf_ + root_.certificate() + intermediate_.certificate()),
            "certificate: wrong order: certificate 3 (CN=Test Intermediate) signed certificate 1 (CN=orders) and must "
            "follow it at once");
}

// Both certificates of the root have its name and key, so each signed the other as well.
TEST_F(ChainTest, ACertificateThatTheChainDoesNotNeedIsRefused) {
  const auto renewed = root_.SignItself({.extensions = CertificateAuthority::kCa, .not_after = "20400101000000Z"});
  EXPECT_EQ(Verify(root_.Sign(csr_) + renewed), "accepted");
  EXPECT_EQ(Verify(root_.Sign(csr_) + root_.certificate() + renewed),
            "certificate: wrong order: the chain is whole without certificate 2 (CN=Test Root); leave it out");
}

TEST_F(ChainTest, AnAuthorityIsNoLeaf) {
  EXPECT_EQ(Verify(Leaf({.extensions = CertificateAuthority::kCa}) + intermediate_.certificate()),
            "certificate: certificate 1 (CN=orders) is that of a certification authority (CA:TRUE); ask for an "
            "end-entity certificate");
  EXPECT_NE(Verify(Leaf({.extensions = "basicConstraints=CA:TRUE\nkeyUsage=digitalSignature\n"})).find("CA:TRUE"),
            std::string::npos);
}

TEST_F(ChainTest, TheLeafAllowsSignatures) {
  EXPECT_EQ(Verify(Leaf({.extensions = "keyUsage=critical,keyEncipherment\n"})),
            "certificate: certificate 1 (CN=orders) does not allow digitalSignature in its keyUsage");
  EXPECT_EQ(Verify(Leaf({.extensions = "keyUsage=critical,digitalSignature,keyEncipherment\n"})), "accepted");
  EXPECT_EQ(Verify(Leaf({.extensions = "subjectKeyIdentifier=hash\n"})), "accepted");
}

TEST_F(ChainTest, AnIssuerIsAnAuthority) {
  CertificateAuthority no_authority("Mere Client", kEc, root_, Issuance());
  EXPECT_EQ(Verify(no_authority.Sign(csr_) + no_authority.certificate()),
            "certificate: certificate 2 (CN=Mere Client) may not issue: its basicConstraints do not say CA:TRUE");
  CertificateAuthority no_usage("No Usage", kEc, root_,
                                {.extensions = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,cRLSign\n"});
  EXPECT_EQ(Verify(no_usage.Sign(csr_) + no_usage.certificate()),
            "certificate: certificate 2 (CN=No Usage) may not issue: its keyUsage lacks keyCertSign");
}

TEST_F(ChainTest, PathLength) {
  const std::string usage = "keyUsage=critical,keyCertSign\n";
  CertificateAuthority root("Short Root", kEc, {.extensions = "basicConstraints=critical,CA:TRUE,pathlen:0\n" + usage});
  EXPECT_EQ(Verify(root.Sign(csr_) + root.certificate()), "accepted");
  CertificateAuthority below("Below", kEc, root);
  EXPECT_EQ(Verify(below.Sign(csr_) + below.certificate() + root.certificate()),
            "certificate: certificate 3 (CN=Short Root): path length constraint exceeded");
}

TEST_F(ChainTest, NameConstraints) {
  CertificateAuthority narrow(
      "Narrow", kEc, root_,
      {.extensions = std::string(CertificateAuthority::kCa) + "nameConstraints=critical,permitted;DNS:example.com\n"});
  EXPECT_EQ(Verify(narrow.Sign(csr_, {.extensions = "subjectAltName=DNS:a.example.com\n"}) + narrow.certificate()),
            "accepted");
  EXPECT_EQ(Verify(narrow.Sign(csr_, {.extensions = "subjectAltName=DNS:a.example.org\n"}) + narrow.certificate()),
            "certificate: certificate 1 (CN=orders): permitted subtree violation");
}

TEST_F(ChainTest, UnknownCriticalExtension) {
  EXPECT_EQ(Verify(Leaf({.extensions = "1.2.3.4=critical,ASN1:NULL\n"}) + intermediate_.certificate()),
            "certificate: certificate 1 (CN=orders): unhandled critical extension");
  EXPECT_EQ(Verify(Leaf({.extensions = "1.2.3.4=ASN1:NULL\n"}) + intermediate_.certificate()), "accepted");
}

TEST_F(ChainTest, ExtensionsThatCannotBeRead) {
  EXPECT_EQ(Verify(Leaf({.extensions = "keyUsage=DER:040100\n"})),
            "certificate: certificate 1 has extensions that cannot be read");
}

TEST_F(ChainTest, WeakDigests) {
  const auto reason = [](const std::string& which, const std::string& digest) {
    return "certificate: " + which + " is signed with " + digest + ", which is too weak: have it issued with SHA-256";
  };
  EXPECT_EQ(Verify(Leaf({.digest = "sha1"}) + intermediate_.certificate()),
            reason("certificate 1 (CN=orders)", "SHA1"));
  EXPECT_EQ(Verify(Leaf({.digest = "sha1"})), reason("certificate 1 (CN=orders)", "SHA1"));
  EXPECT_EQ(Verify(root_.Sign(csr_, {.digest = "md5"})), reason("certificate 1 (CN=orders)", "MD5"));
  CertificateAuthority old("Old", kEc, root_, {.extensions = CertificateAuthority::kCa, .digest = "sha1"});
  EXPECT_EQ(Verify(old.Sign(csr_) + old.certificate()), reason("certificate 2 (CN=Old)", "SHA1"));
  // Nobody needs a root's signature on itself.
  CertificateAuthority old_root("Old Root", kRsa, {.extensions = CertificateAuthority::kCa, .digest = "sha1"});
  EXPECT_EQ(Verify(old_root.Sign(csr_) + old_root.certificate()), "accepted");
  const CertificateAuthority self("orders", kRsa, {.digest = "sha1"});
  const auto chain = *ParseChain(self.certificate());
  EXPECT_EQ(ReasonOf(VerifyChain(chain, *chain[0].public_key, kNow)), reason("certificate 1 (CN=orders)", "SHA1"));
}

TEST_F(ChainTest, WeakKeys) {
  CertificateAuthority weak("Weak", "rsa -pkeyopt rsa_keygen_bits:1024", root_);
  EXPECT_EQ(Verify(weak.Sign(csr_) + weak.certificate()),
            "certificate: certificate 2 (CN=Weak): CA certificate key too weak");
}

TEST_F(ChainTest, NamesOfOthersAreShownEscaped) {
  const auto leaf = intermediate_.Sign(intermediate_.RequestFor("/CN=a\n\x1b[2J"));
  const auto chain = *ParseChain(leaf);
  EXPECT_EQ(ReasonOf(VerifyChain(chain, *chain[0].public_key, kNotBefore - seconds(1))),
            "certificate: certificate 1 (CN=a\\0A\\1B[2J) is not valid before 2026-01-01T00:00:00Z");
}

TEST_F(ChainTest, GarbageAndNothingAreRefused) {
  EXPECT_EQ(ReasonOf(VerifyChain({}, key_, kNow)), "certificate: must not be empty");
  auto chain = *ParseChain(leaf_ + intermediate_.certificate());
  chain[1].der = {0x30, 0x00};
  const auto verified = VerifyChain(chain, key_, kNow);
  EXPECT_EQ(ReasonOf(verified), "certificate: certificate 2 cannot be read");
  EXPECT_EQ(verified.error().code, Code::kInvalidArgument);
}

TEST_F(ChainTest, SubjectIsDer) {
  const auto subject = SubjectOf(*ParsePem(leaf_));
  ASSERT_TRUE(subject);
  EXPECT_EQ(Hex(*subject), "3011310f300d06035504030c066f7264657273");  // CN=orders, UTF8String
  EXPECT_FALSE(SubjectOf({}));
}

// --- reading ---

TEST_F(ChainTest, TextAroundBlocksAndCrLfAreTolerated) {
  auto text = "subject=CN = orders\n\n" + leaf_ + "issuer:\n" + intermediate_.certificate() + "end";
  EXPECT_EQ(ParseChain(text)->size(), 2U);
  for (std::size_t at = 0; (at = text.find('\n', at)) != std::string::npos; at += 2) {
    text.insert(at, "\r");
  }
  EXPECT_EQ(ParseChain(text)->at(1).der, ParsePem(intermediate_.certificate())->der);
}

TEST_F(ChainTest, OneDerCertificate) {
  // The name has what looks like PEM.
  const auto der = ParsePem(intermediate_.Sign(root_.RequestFor("/CN=-----BEGIN PRIVATE KEY-----")))->der;
  const auto chain = ParseChain({reinterpret_cast<const char*>(der.data()), der.size()});
  ASSERT_TRUE(chain) << chain.error().ToString();
  EXPECT_EQ(chain->front().der, der);
  auto longer = der;
  longer.push_back(0);
  EXPECT_FALSE(ParseChain({reinterpret_cast<const char*>(longer.data()), longer.size()}));
}

TEST_F(ChainTest, APrivateKeyIsToldFromGarbage) {
  const auto pem = intermediate_.Read("other.key");
  const auto rsa = intermediate_.Run("openssl rsa -traditional -in other.key");
  const auto encrypted = intermediate_.Run("openssl pkcs8 -topk8 -v2 aes-128-cbc -passout pass:x -in other.key");
  const auto old_encrypted = intermediate_.Run("openssl rsa -traditional -aes128 -passout pass:x -in other.key");
  const auto der = intermediate_.Run("openssl pkcs8 -topk8 -nocrypt -outform DER -in other.key");
  const auto rsa_der = intermediate_.Run("openssl rsa -traditional -outform DER -in other.key");
  const auto ec_der = intermediate_.Run("openssl ec -outform DER -in ca.key");
  for (const auto& text : {pem, leaf_ + pem, pem + leaf_, leaf_ + rsa, leaf_ + encrypted, leaf_ + old_encrypted,
                           leaf_ + "  " + pem, leaf_ + pem.substr(0, 60), der, rsa_der, ec_der}) {
    const auto chain = ParseChain(text);
    EXPECT_EQ(ReasonOf(chain), "certificate: contains a private key: never send one") << text;
    EXPECT_EQ(chain.error().code, Code::kInvalidArgument);
    EXPECT_EQ(chain.error().detail, "");
  }
}

TEST_F(ChainTest, OtherPemBlocksAreRefusedByName) {
  EXPECT_EQ(ReasonOf(ParseChain(leaf_ + csr_)),
            "certificate: contains a PEM block 'CERTIFICATE REQUEST': send CERTIFICATE blocks alone, without headers");
  const auto trusted = intermediate_.Run("openssl x509 -trustout -in ca.pem");
  EXPECT_NE(ReasonOf(ParseChain(trusted)).find("'TRUSTED CERTIFICATE'"), std::string::npos);
  const auto public_key = intermediate_.Run("openssl pkey -pubout -in ca.key");
  EXPECT_NE(ReasonOf(ParseChain(public_key)).find("'PUBLIC KEY'"), std::string::npos);
  EXPECT_EQ(ReasonOf(ParseChain("-----BEGIN \x1b[2J-----\nAAAA\n-----END \x1b[2J-----\n")),
            "certificate: contains a PEM block of an unknown kind: send CERTIFICATE blocks alone, without headers");
  auto with_headers = leaf_;
  with_headers.insert(leaf_.find('\n') + 1, "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n");
  EXPECT_NE(ReasonOf(ParseChain(with_headers)).find("without headers"), std::string::npos);
}

TEST_F(ChainTest, AtMostTenCertificates) {
  std::string text;
  for (int i = 0; i < 10; ++i) {
    text += Leaf();  // each with a serial number of its own
  }
  EXPECT_EQ(ParseChain(text)->size(), 10U);
  EXPECT_EQ(ReasonOf(ParseChain(text + leaf_)), "certificate: must be at most 10 certificates");
}

TEST_F(ChainTest, AtMost65536Octets) {
  const auto text = leaf_ + std::string(65536 - leaf_.size(), ' ');
  EXPECT_EQ(ReasonOf(ParseChain(text)), "accepted");
  EXPECT_EQ(ReasonOf(ParseChain(text + ' ')), "certificate: must be at most 65536 octets");
}

TEST_F(ChainTest, DuplicatesAreRefused) {
  EXPECT_EQ(ReasonOf(ParseChain(leaf_ + intermediate_.certificate() + leaf_)),
            "certificate: certificate 1 and certificate 3 are the same: send each once");
}

TEST_F(ChainTest, GarbageIsRefused) {
  for (const std::string text : {"", "garbage", "0", "\x30\x03\x02\x01\x01"}) {
    EXPECT_EQ(ReasonOf(ParseChain(text)), "certificate: neither PEM nor one DER certificate") << text;
  }
  EXPECT_EQ(ReasonOf(ParseChain(leaf_ + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")),
            "certificate: certificate 2 is none");
  EXPECT_EQ(ReasonOf(ParseChain(leaf_.substr(0, leaf_.size() / 2))),
            "certificate: a PEM block is cut off, or not base64");
  EXPECT_EQ(ReasonOf(ParseChain(leaf_ + "  " + intermediate_.certificate())),
            "certificate: a PEM block must begin at the start of a line");
}

}  // namespace
}  // namespace assertion::x509
