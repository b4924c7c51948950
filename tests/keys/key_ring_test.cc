#include "keys/key_ring.h"

#include <gtest/gtest.h>
#include <openssl/rand.h>

#include <thread>

#include "certificate_authority.h"
#include "jws/thumbprint.h"
#include "softhsm.h"
#include "x509/certificate.h"

namespace assertion {
namespace {

using std::chrono::days;

bool RandomOctets(std::span<std::uint8_t> octets) {
  return RAND_bytes(octets.data(), static_cast<int>(octets.size())) == 1;
}

Client Named(const std::string& client_id) {
  Client client;
  client.client_id = client_id;
  client.audiences = {"https://is.example.com/oauth2/token"};
  return client;
}

class KeyRingTest : public testing::Test {
 protected:
  KeyRingTest() : certifier_(*x509::Certifier::New(SOFTHSM2_MODULE)) {}

  Result<std::unique_ptr<KeyRing>> Load() {
    return KeyRing::Load(
        hsm_.token(), *certifier_, {Named("orders"), Named("billing")},
        [] { return Time(std::chrono::seconds(1'800'000'000)); }, RandomOctets);
  }

  static GenerateKeyRequest For(const std::string& client_id) {
    return {.client_id = client_id, .bits = 2048, .common_name = "cn " + client_id, .certificate_validity = days(30)};
  }

  void ExpectLoadFails(Code code, const std::string& part) {
    const auto ring = Load();
    ASSERT_FALSE(ring);
    EXPECT_EQ(ring.error().code, code);
    EXPECT_NE(ring.error().message.find(part), std::string::npos) << ring.error().message;
  }

  LoggedInSoftHsm hsm_;
  std::unique_ptr<x509::Certifier> certifier_;
};

TEST_F(KeyRingTest, AClientWithoutAKeyFailsItsOwnCallsOnly) {
  const auto ring = *Load();
  const auto none = ring->Find("orders");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, Code::kFailedPrecondition);
  ASSERT_TRUE(ring->Generate(For("billing")));
  EXPECT_TRUE(ring->Find("billing"));
  EXPECT_FALSE(ring->Find("orders"));
}

TEST_F(KeyRingTest, AGeneratedKeyHasItsCertificateAndSurvivesAReload) {
  const auto ring = *Load();
  const auto made = ring->Generate(For("orders"));
  ASSERT_TRUE(made) << made.error().ToString();
  const auto& key = **made;
  EXPECT_EQ(key.bits(), 2048);
  EXPECT_EQ(key.id.size(), 16U);
  EXPECT_EQ(key.kid, jws::JwkThumbprint(key.public_key));
  ASSERT_EQ(key.chain.size(), 1U);
  EXPECT_EQ(key.chain[0].public_key, key.public_key);
  EXPECT_EQ(key.chain[0].not_before, Time(std::chrono::seconds(1'800'000'000)));
  EXPECT_EQ(key.chain[0].not_after - key.chain[0].not_before, days(30));

  const auto again = Load();
  ASSERT_TRUE(again) << again.error().ToString();
  const auto found = (*again)->Find("orders");
  ASSERT_TRUE(found);
  EXPECT_EQ((*found)->kid, key.kid);
  EXPECT_EQ((*found)->chain[0].der, key.chain[0].der);
}

TEST_F(KeyRingTest, AnExistingKeyIsNeverOverwritten) {
  const auto ring = *Load();
  const auto made = ring->Generate(For("orders"));
  ASSERT_TRUE(made);
  const auto again = ring->Generate(For("orders"));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Code::kAlreadyExists);
  EXPECT_EQ((*ring->Find("orders"))->kid, (*made)->kid);
  EXPECT_EQ(hsm_.token().FindKeys("orders")->size(), 1U);
}

TEST_F(KeyRingTest, AKeyThatAnotherProcessMadeIsFoundNotOverwritten) {
  const auto ring = *Load();
  const auto other = *Load();
  const auto made = other->Generate(For("orders"));
  ASSERT_TRUE(made);
  EXPECT_EQ(ring->Generate(For("orders")).error().code, Code::kAlreadyExists);
  EXPECT_EQ((*ring->Find("orders"))->kid, (*made)->kid);
}

TEST_F(KeyRingTest, OneCallOfTwoAtOnceMakesTheKey) {
  const auto ring = *Load();
  std::array<Result<SigningKeyPtr>, 2> results;
  {
    std::jthread first([&] { results[0] = ring->Generate(For("orders")); });
    std::jthread second([&] { results[1] = ring->Generate(For("orders")); });
  }
  ASSERT_NE(results[0].has_value(), results[1].has_value());
  const auto& refused = results[0] ? results[1] : results[0];
  EXPECT_EQ(refused.error().code, Code::kAlreadyExists)
      << refused.error().ToString();  // it made none, not one too many
  EXPECT_EQ(hsm_.token().FindKeys("orders")->size(), 1U);
}

TEST_F(KeyRingTest, TwoKeysOfOneClientAreAnError) {
  hsm_.MakeKey("orders", {1}, true, false);
  hsm_.MakeKey("orders", {2}, true, false);
  ExpectLoadFails(Code::kKeyAmbiguous, "2 keys labelled 'orders'");
}

TEST_F(KeyRingTest, TwoKeysOfOneIdAreAnError) {
  hsm_.MakeKey("orders", {1}, true, false);
  hsm_.MakeKey("somebody else", {1}, true, false);
  ExpectLoadFails(Code::kKeyAmbiguous, "with CKA_ID 01");
}

TEST_F(KeyRingTest, AnExtractableKeyIsRefusedByName) {
  hsm_.MakeKey("orders", {1}, true, true);
  ExpectLoadFails(Code::kKeyForbidden, "CKA_EXTRACTABLE is true, CKA_NEVER_EXTRACTABLE is false");
}

TEST_F(KeyRingTest, AKeyThatIsNotSensitiveIsRefusedByName) {
  hsm_.MakeKey("orders", {1}, false, false);
  ExpectLoadFails(Code::kKeyForbidden, "CKA_SENSITIVE is false, CKA_ALWAYS_SENSITIVE is false");
}

TEST_F(KeyRingTest, AGoodKeyWithoutCertificateMaySign) {
  hsm_.MakeKey("orders", {1}, true, false);
  const auto ring = Load();
  ASSERT_TRUE(ring) << ring.error().ToString();
  EXPECT_TRUE((*(*ring)->Find("orders"))->chain.empty());
}

TEST_F(KeyRingTest, ACertificateOfAnotherKeyIsRefused) {
  const auto other = (*Load())->Generate(For("billing"));
  ASSERT_TRUE(other);
  hsm_.MakeKey("orders", {1}, true, false);
  ASSERT_TRUE(hsm_.token().StoreCertificate("orders", Bytes{1}, Bytes{0x30, 0x00}, (*other)->chain[0].der));
  ExpectLoadFails(Code::kKeyUnproven, "does not belong to that key");
}

TEST_F(KeyRingTest, ACertificateOfAnotherKindOfKeyIsRefused) {
  const CertificateAuthority ec("orders", CertificateAuthority::kEc);
  hsm_.MakeKey("orders", {1}, true, false);
  ASSERT_TRUE(
      hsm_.token().StoreCertificate("orders", Bytes{1}, Bytes{0x30, 0x00}, x509::ParsePem(ec.certificate())->der));
  ExpectLoadFails(Code::kKeyUnproven, "does not belong to that key");
}

TEST_F(KeyRingTest, ACertificateThatIsNoneIsRefused) {
  hsm_.MakeKey("orders", {1}, true, false);
  ASSERT_TRUE(hsm_.token().StoreCertificate("orders", Bytes{1}, Bytes{0x30, 0x00}, Bytes{0x30, 0x00}));
  ExpectLoadFails(Code::kKeyUnproven, "does not belong to that key");
}

// The real token; its kinds below do one thing otherwise.
class WrappedToken : public Token {
 public:
  explicit WrappedToken(Token& real) : real_(real) {}
  Result<std::vector<TokenKey>> FindKeys(std::string_view label) override { return real_.FindKeys(label); }
  Result<TokenKey> GenerateKeyPair(const NewKey& key) override { return real_.GenerateKeyPair(key); }
  Status StoreCertificate(std::string_view label, BytesView id, BytesView subject, BytesView der) override {
    return real_.StoreCertificate(label, id, subject, der);
  }
  Status DestroyKey(BytesView id) override { return real_.DestroyKey(id); }
  Result<std::string> PrivateKeyUri(BytesView id) override { return real_.PrivateKeyUri(id); }
  Result<std::unique_ptr<SigningSession>> OpenSigningSession() override { return real_.OpenSigningSession(); }

 private:
  Token& real_;
};

class ForgetfulToken final : public WrappedToken {
 public:
  using WrappedToken::WrappedToken;
  Status StoreCertificate(std::string_view, BytesView, BytesView, BytesView) override {
    return Fail(Code::kUnavailable, "the HSM is not available; try again", "C_CreateObject");
  }
};

// Its signatures have the right size and nothing else.
class WrongToken final : public WrappedToken {
 public:
  using WrappedToken::WrappedToken;
  Result<std::unique_ptr<SigningSession>> OpenSigningSession() override { return std::make_unique<Session>(); }

 private:
  class Session final : public SigningSession {
   public:
    Result<Bytes> Sign(ObjectHandle, const Algorithm&, std::string_view) override { return Bytes(256, 1); }
  };
};

TEST_F(KeyRingTest, AKeyWhoseProofFailsIsRefused) {
  hsm_.MakeKey("orders", {1}, true, false);
  WrongToken token(hsm_.token());
  const auto ring = KeyRing::Load(token, *certifier_, {Named("orders")}, SystemTime, RandomOctets);
  ASSERT_FALSE(ring);
  EXPECT_EQ(ring.error().code, Code::kKeyUnproven);
}

TEST_F(KeyRingTest, AFailedGenerationLeavesNothingBehind) {
  ForgetfulToken token(hsm_.token());
  const auto ring = *KeyRing::Load(token, *certifier_, {Named("orders")}, SystemTime, RandomOctets);
  const auto made = ring->Generate(For("orders"));
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Code::kUnavailable);
  EXPECT_TRUE(hsm_.token().FindKeys("orders")->empty());
  EXPECT_FALSE(ring->Find("orders"));
}

}  // namespace
}  // namespace assertion
