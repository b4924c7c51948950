#include "x509/p256_multiples.h"

#include <gtest/gtest.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/obj_mac.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "x509/openssl.h"
#include "x509/verifier.h"

namespace assertion::x509 {
namespace {

const Algorithm& Es256() { return *FindAlgorithm("ES256"); }

Bytes Octets(const BIGNUM* number) {
  Bytes octets(32);
  BN_bn2binpad(number, octets.data(), 32);
  return octets;
}

// A throw-away key of OpenSSL's, in software.
class SoftwareKey {
 public:
  SoftwareKey() : key_(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256")) {}

  CurvePublicKey PublicHalf() const {
    BIGNUM* x = nullptr;
    BIGNUM* y = nullptr;
    EVP_PKEY_get_bn_param(key_.get(), "qx", &x);
    EVP_PKEY_get_bn_param(key_.get(), "qy", &y);
    const BignumPtr own_x(x);
    const BignumPtr own_y(y);
    return {.curve = Es256().curve, .x = Octets(x), .y = Octets(y)};
  }

  // r and s side by side.
  Bytes Sign(const std::string& input) const {
    const std::unique_ptr<EVP_MD_CTX, Deleter<EVP_MD_CTX_free>> context(EVP_MD_CTX_new());
    EVP_DigestSignInit_ex(context.get(), nullptr, "SHA256", nullptr, nullptr, key_.get(), nullptr);
    Bytes der(80);
    auto size = der.size();
    EVP_DigestSign(context.get(), der.data(), &size, AsBytes(input).data(), input.size());
    const auto* at = der.data();
    const EcdsaSignaturePtr pair(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(size)));
    auto both = Octets(ECDSA_SIG_get0_r(pair.get()));
    const auto s = Octets(ECDSA_SIG_get0_s(pair.get()));
    both.insert(both.end(), s.begin(), s.end());
    return both;
  }

 private:
  KeyPtr key_;
};

// Until the table is there.
std::unique_ptr<P256Multiples> InUse(const CurvePublicKey& key) {
  auto multiples = std::make_unique<P256Multiples>(key);
  for (std::uint32_t i = 0; i < P256Multiples::kInUse; ++i) {
    EXPECT_FALSE(multiples->has_table());
    EXPECT_FALSE(multiples->Verify("", {}));
  }
  return multiples;
}

TEST(P256Multiples, SaysWhatOpenSslSays) {
  constexpr int kSignatures = 300;
  const SoftwareKey key;
  const auto multiples = InUse(key.PublicHalf());
  ASSERT_TRUE(multiples->has_table());
  for (int i = 0; i < kSignatures; ++i) {
    const auto input = "input " + std::to_string(i);
    const auto signature = key.Sign(input);
    EXPECT_TRUE(multiples->Verify(input, signature)) << i;
    EXPECT_FALSE(multiples->Verify(input + " ", signature)) << i;
  }
}

TEST(P256Multiples, ShowsNothingOfAnotherSignature) {
  const SoftwareKey key;
  const auto multiples = InUse(key.PublicHalf());
  const auto signature = key.Sign("input");
  ASSERT_TRUE(multiples->Verify("input", signature));
  for (std::size_t bit = 0; bit < signature.size() * 8; ++bit) {
    auto flipped = signature;
    flipped[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    EXPECT_FALSE(multiples->Verify("input", flipped)) << bit;
  }
  EXPECT_FALSE(multiples->Verify("input", SoftwareKey().Sign("input"))) << "another key's";
  auto longer = signature;
  longer.push_back(0);
  EXPECT_FALSE(multiples->Verify("input", longer));
  EXPECT_FALSE(multiples->Verify("input", BytesView(signature).first(63)));
  EXPECT_FALSE(multiples->Verify("input", {}));
}

// FIPS 186-5 section 6.4.2 step 1: both numbers from 1 to n - 1.
TEST(P256Multiples, NumbersOutsideTheirRangeShowNothing) {
  const SoftwareKey key;
  const auto multiples = InUse(key.PublicHalf());
  const auto signature = key.Sign("input");
  const std::unique_ptr<EC_GROUP, Deleter<EC_GROUP_free>> group(EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1));
  const auto order = Octets(EC_GROUP_get0_order(group.get()));
  const std::vector<Bytes> outside = {Bytes(32, 0), order, Bytes(32, 0xFF)};
  for (const auto& number : outside) {
    for (const std::size_t half : {0, 32}) {
      auto changed = signature;
      std::ranges::copy(number, changed.begin() + static_cast<std::ptrdiff_t>(half));
      EXPECT_FALSE(multiples->Verify("input", changed));
    }
  }
  EXPECT_FALSE(multiples->Verify("input", Bytes(64, 0)));
}

TEST(P256Multiples, ManyThreadsMakeOneTable) {
  constexpr int kThreads = 8;
  const SoftwareKey key;
  P256Multiples multiples(key.PublicHalf());
  const auto signature = key.Sign("input");
  std::vector<std::jthread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      while (!multiples.Verify("input", signature)) {
      }
    });
  }
  threads.clear();
  EXPECT_TRUE(multiples.has_table());
}

// The tables of all keys have a limit; what a key leaves goes to the next.
TEST(P256Multiples, SoManyKeysHaveOne) {
  const SoftwareKey key;
  std::vector<std::unique_ptr<P256Multiples>> all;
  for (int i = 0; i < P256Multiples::kMostTables; ++i) {
    all.push_back(InUse(key.PublicHalf()));
    ASSERT_TRUE(all.back()->has_table()) << i;
  }
  const auto late = InUse(key.PublicHalf());
  EXPECT_FALSE(late->has_table());
  EXPECT_FALSE(late->Verify("input", key.Sign("input")));
  all.pop_back();
  while (!late->has_table()) {
    late->Verify("", {});
  }
  EXPECT_TRUE(late->Verify("input", key.Sign("input")));
}

TEST(P256Multiples, AKeyThatIsNoPointHasNoTable) {
  auto key = SoftwareKey().PublicHalf();
  key.y.back() ^= 1U;
  EXPECT_FALSE(InUse(key)->has_table());
}

TEST(P256Multiples, TheVerifierIsRightBeforeAndAfter) {
  constexpr std::uint32_t kAfter = 2 * P256Multiples::kInUse;
  const SoftwareKey key;
  const auto verifier = Verifier::New(PublicKey(key.PublicHalf()), Es256());
  ASSERT_TRUE(verifier);
  const auto signature = key.Sign("input");
  for (std::uint32_t i = 0; i < kAfter; ++i) {
    ASSERT_TRUE(verifier->Verify("input", signature)) << i;
    ASSERT_FALSE(verifier->Verify("other", signature)) << i;
  }
}

}  // namespace
}  // namespace assertion::x509
