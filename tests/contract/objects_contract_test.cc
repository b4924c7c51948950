// Certificates and data objects, of tokens that store them and of tokens that do not.

#include <string>
#include <thread>
#include <vector>

#include "contract/contract.h"

namespace assertion {
namespace {

class CertificatesContractTest : public ContractTest {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(CertificatesContractTest);

TEST_P(CertificatesContractTest, ACertificateStandsBesideItsKey) {
  const auto key = Generate({1});
  ASSERT_TRUE(key) << key.error().ToString();
  const auto made = SelfSign(*key, kRs256);
  ASSERT_TRUE(made) << made.error().ToString();
  const auto stored = token().StoreCertificate("orders", Bytes{1}, made->subject, made->certificate.der);
  ASSERT_TRUE(stored) << stored.error().ToString();
  const auto found = token().Read({"orders"});
  ASSERT_TRUE(found) << found.error().ToString();
  ASSERT_EQ(found->certificates.size(), 1U);
  EXPECT_EQ(found->certificates.front().value, made->certificate.der);
  EXPECT_EQ(found->certificates.front().id, Bytes{1});
  EXPECT_TRUE(token().Read({"other"})->certificates.empty());
  ASSERT_TRUE(token().DestroyObject(found->certificates.front().handle));
  EXPECT_TRUE(token().Read({"orders"})->certificates.empty());
}

// Such tokens say so, and nothing of an attempt stays.
class NoCertificatesContractTest : public ContractTest {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(NoCertificatesContractTest);

TEST_P(NoCertificatesContractTest, TheyAreRefused) {
  const Bytes der = {0x30, 0x00};
  const auto stored = token().StoreCertificate("orders", Bytes{1}, der, der);
  ASSERT_FALSE(stored);
  EXPECT_EQ(stored.error().code, Code::kInternal) << "not UNAVAILABLE, which says: try again";
  EXPECT_TRUE(stored.error().detail.contains("C_CreateObject"));
  EXPECT_TRUE(token().Read({"orders"})->certificates.empty());
  EXPECT_TRUE(token().Check());
}

class DataContractTest : public ContractTest {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(DataContractTest);

TEST_P(DataContractTest, DataIsFoundByApplicationAndLabelUntilItIsDestroyed) {
  ASSERT_TRUE(token().StoreData("app", "one", "first"));
  ASSERT_TRUE(token().StoreData("app", "two", "second"));
  EXPECT_TRUE(token().FindData("other", "")->empty());
  EXPECT_EQ(token().FindData("app", "")->size(), 2U);
  const auto two = token().FindData("app", "two");
  ASSERT_TRUE(two) << two.error().ToString();
  ASSERT_EQ(two->size(), 1U);
  EXPECT_EQ(two->front().value, "second");
  EXPECT_TRUE(two->front().is_private);
  ASSERT_TRUE(token().DestroyObject(two->front().handle));
  const auto again = token().DestroyObject(two->front().handle);
  EXPECT_TRUE(again) << "gone already: " << again.error().ToString();
  EXPECT_EQ(token().FindData("app", "")->size(), 1U);
}

// SoftHSM2 2.6.1 loses an object, or fails with CKR_GENERAL_ERROR, when one thread searches while another makes one.
// openCryptoki 3.8.1 shows a key twice, or crashes, when a search and a generation, or two searches, run side by side.
TEST_P(DataContractTest, ObjectsAreMadeAndSeenWhileOthersLook) {
  const int objects = GetParam().many_objects ? 400 : 20;
  constexpr int kKeys = 8;  // tpm2-abrmd has room for few
  // The trial of custody comes before, because a TPM's module is reloaded after it, which ends the sessions of others.
  ASSERT_TRUE(Generate({0xFF}, "tried", fast()));
  ASSERT_TRUE(token().DestroyKey(Bytes{0xFF}));
  std::vector<std::jthread> looking;
  for (int i = 0; i < 2; ++i) {
    looking.emplace_back([&](const std::stop_token& done) {
      while (!done.stop_requested()) {
        const auto data = token().FindData("assertiond test", {});
        EXPECT_TRUE(data) << data.error().ToString();
        const auto keys = token().Read({"orders"});
        EXPECT_TRUE(keys) << keys.error().ToString();
      }
    });
  }
  for (int i = 0; i < objects && !HasFailure(); ++i) {
    const auto label = std::to_string(i % 2);
    ASSERT_TRUE(token().StoreData("assertiond test", label, "value"));
    const auto found = token().FindData("assertiond test", label);
    ASSERT_TRUE(found);
    ASSERT_EQ(found->size(), 1U) << "object " << i;
    ASSERT_TRUE(token().DestroyObject(found->front().handle));
  }
  for (int i = 0; i < kKeys && !HasFailure(); ++i) {
    const Bytes id = {static_cast<std::uint8_t>(i + 1)};
    const auto key = Generate(id, "orders", fast());
    ASSERT_TRUE(key) << "key " << i << ": " << key.error().ToString();
    const auto seen = token().Read({"orders"});
    ASSERT_TRUE(seen) << seen.error().ToString();
    EXPECT_EQ(seen->keys.size(), 1U) << "key " << i;
    ASSERT_TRUE(token().DestroyKey(id));
  }
}

TEST_P(DataContractTest, DataComesBackAsItWasThroughAReload) {
  std::string value;
  for (std::size_t i = 0; i < GetParam().largest_data; ++i) {
    value += static_cast<char>(i);
  }
  ASSERT_TRUE(token().StoreData("app", "large", value));
  ASSERT_TRUE(token().Reconnect(Reconnection::kReload));
  const auto found = token().FindData("app", "large");
  ASSERT_TRUE(found) << found.error().ToString();
  ASSERT_EQ(found->size(), 1U);
  EXPECT_EQ(found->front().value, value);
}

TEST_P(DataContractTest, ALargerValueIsStoredWholeOrRefused) {
  const std::string value(2 * GetParam().largest_data, 'x');
  const auto stored = token().StoreData("app", "larger", value);
  const auto found = token().FindData("app", "larger");
  ASSERT_TRUE(found) << found.error().ToString();
  if (stored) {
    ASSERT_EQ(found->size(), 1U);
    EXPECT_EQ(found->front().value, value);
  } else {
    EXPECT_TRUE(stored.error().detail.contains("C_CreateObject")) << stored.error().ToString();
    EXPECT_TRUE(found->empty());
  }
}

TEST_P(DataContractTest, MoreObjectsAreFoundThanOneCallReturns) {
  const std::size_t objects = GetParam().many_objects ? 150 : 70;  // Session::Find asks for 64 at a time
  for (std::size_t i = 0; i < objects; ++i) {
    ASSERT_TRUE(token().StoreData("app", std::to_string(i), "x"));
  }
  EXPECT_EQ(token().FindData("app", "")->size(), objects);
}

// Such tokens say so, and nothing of an attempt stays.
class NoDataContractTest : public ContractTest {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(NoDataContractTest);

TEST_P(NoDataContractTest, DataObjectsAreRefused) {
  const auto stored = token().StoreData("app", "one", "first");
  ASSERT_FALSE(stored);
  EXPECT_EQ(stored.error().code, Code::kInternal) << "not UNAVAILABLE, which says: try again";
  EXPECT_TRUE(stored.error().detail.contains("C_CreateObject"));
  EXPECT_TRUE(token().FindData("app", "")->empty());
  EXPECT_TRUE(token().Check());
}

INSTANTIATE_TEST_SUITE_P(Token, CertificatesContractTest,
                         testing::ValuesIn(TokensThatMakeKeys(false, Lack::kCertificates)), kTokenName);
INSTANTIATE_TEST_SUITE_P(Token, NoCertificatesContractTest, testing::ValuesIn(TokensThat(true, Lack::kCertificates)),
                         kTokenName);
INSTANTIATE_TEST_SUITE_P(Token, DataContractTest, testing::ValuesIn(TokensThat(false, Lack::kDataObjects)), kTokenName);
INSTANTIATE_TEST_SUITE_P(Token, NoDataContractTest, testing::ValuesIn(TokensThat(true, Lack::kDataObjects)),
                         kTokenName);

}  // namespace
}  // namespace assertion
