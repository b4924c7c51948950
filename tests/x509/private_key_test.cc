#include "x509/private_key.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "made_private_key.h"

namespace assertion::x509 {
namespace {

std::string WhyNot(Secret der) {
  const auto key = ParsePkcs8(std::move(der));
  return key ? "it was read" : key.error().message;
}

Bytes Copy(const Secret& secret) { return {secret.view().begin(), secret.view().end()}; }

TEST(PrivateKey, RsaAndCurveKeysAreReadWithTheirPublicHalves) {
  const auto rsa = ParsePkcs8(MadePrivateKey(3072).Pkcs8());
  ASSERT_TRUE(rsa) << rsa.error().message;
  EXPECT_EQ(KeyBits(rsa->public_key), 3072);
  EXPECT_EQ(std::get<RsaPublicKey>(rsa->public_key).exponent, (Bytes{1, 0, 1}));
  EXPECT_EQ(rsa->numbers.size(), 6U);
  for (const auto& [kind, name] :
       {std::pair{"P-256", "P-256"}, {"P-384", "P-384"}, {"P-521", "P-521"}, {"ED25519", "Ed25519"}}) {
    const auto key = ParsePkcs8(MadePrivateKey(kind).Pkcs8());
    ASSERT_TRUE(key) << kind << ": " << key.error().message;
    EXPECT_EQ(KindOf(key->public_key), name);
    ASSERT_EQ(key->numbers.size(), 1U);
    EXPECT_EQ(key->numbers.front().size(), CurveOf(key->public_key)->octets);
  }
}

TEST(PrivateKey, KeysOfOtherKindsAreRefused) {
  for (const char* kind : {"secp256k1", "P-224", "ED448"}) {
    EXPECT_TRUE(WhyNot(MadePrivateKey(kind).Pkcs8()).starts_with("private_key: it is a key of another kind")) << kind;
  }
}

TEST(PrivateKey, OctetsThatAreCutOffOrAddedOrChangedInTheirFrameAreRefused) {
  for (const auto& whole : {Copy(MadePrivateKey(2048).Pkcs8()), Copy(MadePrivateKey("P-256").Pkcs8()),
                            Copy(MadePrivateKey("ED25519").Pkcs8())}) {
    for (std::size_t size = 0; size < whole.size(); ++size) {
      EXPECT_NE(WhyNot(Secret(BytesView(whole).first(size))), "it was read") << size;
    }
    auto longer = whole;
    longer.push_back(0);
    EXPECT_NE(WhyNot(Secret(longer)), "it was read");
    constexpr std::size_t kFrame = 16;  // of the Ed25519 key, the shortest: its private number begins there
    for (std::size_t at = 0; at < kFrame; ++at) {
      auto changed = whole;
      changed.at(at) ^= 0xFFU;
      EXPECT_NE(WhyNot(Secret(changed)), "it was read") << at;
    }
  }
  EXPECT_TRUE(WhyNot(Secret(Bytes(kLongestPkcs8 + 1))).contains("longer than 8192 octets"));
}

TEST(PrivateKey, EveryFormOfPemThatHoldsThePrivateKeyAloneIsRead) {
  for (const auto& made : {MadePrivateKey(2048), MadePrivateKey("P-256"), MadePrivateKey("ED25519")}) {
    const auto expected = Copy(made.Pkcs8());
    for (const auto& pem : {made.Pem(), made.Pem({}, /*traditional=*/true), "text before\n" + made.Pem()}) {
      if (pem.contains("BEGIN")) {  // there is no traditional form of Ed25519
        const auto read = ReadPemKey(AsBytes(pem), std::nullopt);
        ASSERT_TRUE(read) << read.error().ToString();
        EXPECT_EQ(Copy(*read), expected);
      }
    }
  }
}

TEST(PrivateKey, TwoKeysInOnePemAreRefused) {
  const auto refused = ReadPemKey(AsBytes(MadePrivateKey("P-256").Pem() + MadePrivateKey("P-384").Pem()), std::nullopt);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().message.contains("more than one private key")) << refused.error().message;
}

TEST(PrivateKey, AnEncryptedKeyTakesItsPassphrase) {
  const MadePrivateKey made("P-256");
  const auto pem = made.Pem("open sesame");
  const auto read = ReadPemKey(AsBytes(pem), Secret(AsBytes("open sesame")));
  ASSERT_TRUE(read) << read.error().ToString();
  EXPECT_EQ(Copy(*read), Copy(made.Pkcs8()));
  for (const std::string wrong : {"open", "", "x"}) {
    EXPECT_FALSE(ReadPemKey(AsBytes(pem), Secret(AsBytes(wrong)))) << wrong;
  }
  EXPECT_FALSE(ReadPemKey(AsBytes("no key"), std::nullopt));
  EXPECT_FALSE(ReadPemKey(AsBytes("-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n"), std::nullopt));
}

}  // namespace
}  // namespace assertion::x509
