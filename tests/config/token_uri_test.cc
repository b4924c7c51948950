#include "assertion/token_uri.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

namespace assertion {
namespace {

constexpr const char* kPlaces = "?module-path=/usr/lib/hsm.so&pin-source=file:/run/pin";

TEST(TokenUri, ReadsEachAttributeThatIsGiven) {
  const auto uri = TokenUri::Parse(
      std::string("pkcs11:token=prod;manufacturer=Acme%20Inc;model=M1;serial=0042;slot-id=7") + kPlaces);
  ASSERT_TRUE(uri);
  const auto& given = uri->attributes();
  EXPECT_EQ(given.label, "prod");
  EXPECT_EQ(given.manufacturer, "Acme Inc");
  EXPECT_EQ(given.model, "M1");
  EXPECT_EQ(given.serial, "0042");
  EXPECT_EQ(given.slot, 7U);
  EXPECT_EQ(uri->token_label(), "prod");
  EXPECT_EQ(uri->module_path(), "/usr/lib/hsm.so");
  EXPECT_EQ(uri->pin_path(), "/run/pin");
}

TEST(TokenUri, AnAttributeThatIsNotGivenIsUnset) {
  const auto uri = TokenUri::Parse(std::string("pkcs11:serial=0042") + kPlaces);
  ASSERT_TRUE(uri);
  const auto& given = uri->attributes();
  EXPECT_EQ(given.label, std::nullopt);
  EXPECT_EQ(given.manufacturer, std::nullopt);
  EXPECT_EQ(given.model, std::nullopt);
  EXPECT_EQ(given.slot, std::nullopt);
  EXPECT_EQ(uri->token_label(), "");
}

TEST(TokenUri, AnEmptyLabelIsGivenAndMatchesAnEmptyLabelOnly) {
  const auto uri = TokenUri::Parse(std::string("pkcs11:token=") + kPlaces);
  ASSERT_TRUE(uri);
  EXPECT_EQ(uri->attributes().label, "");
}

TEST(TokenUri, ALabelIsNamedTokenAndTheMessageSaysSo) {
  const auto uri = TokenUri::Parse(std::string("pkcs11:label=orders") + kPlaces);
  ASSERT_FALSE(uri);
  EXPECT_NE(uri.error().message.find("\"label\" is not known: a token's label is token="), std::string::npos)
      << uri.error().message;
}

}  // namespace
}  // namespace assertion
