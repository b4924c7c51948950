#include "jws/base64url.h"

#include <gtest/gtest.h>

namespace assertion::jws {
namespace {

std::string AsText(const Bytes& octets) { return {octets.begin(), octets.end()}; }

TEST(Base64Url, EncodesTheVectorsOfRfc4648WithoutPadding) {
  EXPECT_EQ(Base64UrlEncode(AsBytes("")), "");
  EXPECT_EQ(Base64UrlEncode(AsBytes("f")), "Zg");
  EXPECT_EQ(Base64UrlEncode(AsBytes("fo")), "Zm8");
  EXPECT_EQ(Base64UrlEncode(AsBytes("foo")), "Zm9v");
  EXPECT_EQ(Base64UrlEncode(AsBytes("foob")), "Zm9vYg");
  EXPECT_EQ(Base64UrlEncode(AsBytes("foobar")), "Zm9vYmFy");
}

TEST(Base64Url, UsesTheUrlAlphabet) {
  const Bytes octets = {3, 236, 255, 224, 193};  // RFC 7515 appendix C
  EXPECT_EQ(Base64UrlEncode(octets), "A-z_4ME");
  EXPECT_EQ(Base64Encode(octets), "A+z/4ME=");
}

TEST(Base64Url, DecodesWhatItEncodes) {
  for (std::size_t size = 0; size < 70; ++size) {
    Bytes octets(size);
    for (std::size_t i = 0; i < size; ++i) {
      octets[i] = static_cast<std::uint8_t>(i * 37 + size);
    }
    const auto decoded = Base64UrlDecode(Base64UrlEncode(octets));
    ASSERT_TRUE(decoded);
    EXPECT_EQ(*decoded, octets);
  }
}

class MalformedBase64Url : public testing::TestWithParam<const char*> {};

TEST_P(MalformedBase64Url, IsRefused) { EXPECT_FALSE(Base64UrlDecode(GetParam())); }

INSTANTIATE_TEST_SUITE_P(Base64Url, MalformedBase64Url,
                         testing::Values("Zg==", "Zg=", "Zm9v\n", " Zm9v", "Zm+v", "Zm/v", "Z", "Zm9vY", "A", "Zm9vA",
                                         "Zh", "Zm9", "Zm9vé"));

TEST(Base64Url, TakesUnusedBitsOnlyWhenZero) {
  EXPECT_EQ(AsText(*Base64UrlDecode("Zg")), "f");
  EXPECT_FALSE(Base64UrlDecode("Zj"));
}

}  // namespace
}  // namespace assertion::jws
