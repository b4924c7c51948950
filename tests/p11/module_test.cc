#include "p11/module.h"

#include <gtest/gtest.h>

#include "softhsm.h"

namespace assertion::p11 {
namespace {

class ModuleTest : public testing::Test {
 protected:
  ModuleTest() { hsm_.AddToken("test"); }

  SoftHsm hsm_;
};

TEST_F(ModuleTest, TwoTokensThatMatchAreAmbiguous) {
  hsm_.AddToken("test");
  const auto module = *Module::Load(SOFTHSM2_MODULE);
  const auto found = module->FindToken(*TokenUri::Parse(hsm_.UriText()));
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, Code::kTokenAmbiguous);
}

TEST_F(ModuleTest, EveryAttributeOfTheUriMustMatch) {
  const auto module = *Module::Load(SOFTHSM2_MODULE);
  const auto find = [&](const std::string& attributes) -> Result<TokenInfo> {
    const auto places = hsm_.UriText().substr(hsm_.UriText().find('?'));
    ASSIGN_OR_RETURN(const auto uri, TokenUri::Parse("pkcs11:" + attributes + places));
    return module->FindToken(uri, 0);
  };
  const auto token = *find("token=test");
  const auto slot = std::to_string(token.slot);
  EXPECT_TRUE(find("token=test;model=SoftHSM%20v2;serial=" + token.serial + ";slot-id=" + slot));
  for (const auto& wrong : {std::string("token=tes"), std::string("token="), std::string("token=test;model=other"),
                            std::string("token=test;manufacturer=other"),
                            "token=test;serial=x" + token.serial.substr(1), "token=test;slot-id=" + slot + "1"}) {
    const auto found = find(wrong);
    ASSERT_FALSE(found) << wrong;
    EXPECT_EQ(found.error().code, Code::kTokenAbsent) << wrong;
  }
  const auto too_long = find("token=test;serial=x" + token.serial);  // than a serial number can be
  ASSERT_FALSE(too_long);
  EXPECT_EQ(too_long.error().code, Code::kConfigInvalid);
}

// While a key is made on one token, which may take seconds, another of the module must go on.
TEST_F(ModuleTest, EachTokenHasAGateOfItsOwn) {
  const auto module = *Module::Load(SOFTHSM2_MODULE);
  EXPECT_EQ(&module->ObjectsOf(1), &module->ObjectsOf(1));
  EXPECT_NE(&module->ObjectsOf(1), &module->ObjectsOf(2));
}

TEST_F(ModuleTest, AnAbsentTokenIsSaidWithWhatIsThere) {
  const auto module = *Module::Load(SOFTHSM2_MODULE);
  const auto found = module->FindToken(*TokenUri::Parse(hsm_.UriText("prod")));
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, Code::kTokenAbsent);
  EXPECT_NE(found.error().message.find("test (serial "), std::string::npos);
}

TEST_F(ModuleTest, AFileThatIsNotAModuleIsUnusable) {
  for (const auto* path : {"/nowhere/libnone.so", "/etc/passwd", "/usr/lib/x86_64-linux-gnu/libssl.so.3"}) {
    const auto module = Module::Load(path);
    ASSERT_FALSE(module);
    EXPECT_EQ(module.error().code, Code::kModuleUnusable);
  }
}

}  // namespace
}  // namespace assertion::p11
