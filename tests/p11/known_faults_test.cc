#include "p11/known_faults.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace assertion::p11 {
namespace {

TEST(KnownFaultsTest, AModuleIsKnownByItsFileNameAndVersion) {
  EXPECT_TRUE(KnownFaultsOf("/usr/lib/p11-kit-client.so").one_call_at_a_time);
  EXPECT_TRUE(KnownFaultsOf("/usr/lib/libtpm2_pkcs11.so.1").one_call_at_a_time);
  EXPECT_TRUE(KnownFaultsOf("libtpm2_pkcs11.so").spoils_handles);
  EXPECT_TRUE(KnownFaultsOf("/usr/lib/pkcs11/libopencryptoki.so.0").one_search_at_a_time);
  EXPECT_GT(KnownFaultsOf("/usr/lib/pkcs11/libopencryptoki.so").patience, ObjectGate::kPatience);
}

TEST(KnownFaultsTest, OthersHaveNone) {
  for (const auto* path : {"/usr/lib/softhsm/libsofthsm2.so", "/opt/p11-kit-client.so.d/other.so", ""}) {
    const auto faults = KnownFaultsOf(path);
    EXPECT_FALSE(faults.one_call_at_a_time || faults.one_search_at_a_time || faults.spoils_handles) << path;
    EXPECT_EQ(faults.patience, ObjectGate::kPatience) << path;
  }
}

TEST(KnownFaultsTest, SoftHsm2IsSeenBehindAnotherModule) {
  EXPECT_TRUE(IsSoftHsmBehind("/usr/lib/p11-kit-proxy.so", "SoftHSM project"));
  EXPECT_FALSE(IsSoftHsmBehind("/usr/lib/softhsm/libsofthsm2.so", "SoftHSM project"));
  EXPECT_FALSE(IsSoftHsmBehind("/usr/lib/p11-kit-proxy.so", "Another"));
}

TEST(KnownFaultsTest, ALinkIsFollowed) {
  auto name = (std::filesystem::temp_directory_path() / "known_faults_test.XXXXXX").string();
  ASSERT_NE(mkdtemp(name.data()), nullptr);
  const std::filesystem::path folder = name;
  std::ofstream(folder / "libopencryptoki.so.0.0.0").flush();
  std::filesystem::create_symlink("libopencryptoki.so.0.0.0", folder / "PKCS11_API.so");
  EXPECT_TRUE(KnownFaultsOf(folder / "PKCS11_API.so").one_search_at_a_time);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace assertion::p11
