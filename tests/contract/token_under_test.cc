#include "contract/token_under_test.h"

#include "faulty_hsm/faulty_hsm.h"
#include "softhsm.h"

namespace assertion {
namespace {

class FreshSoftHsm final : public FreshToken {
 public:
  p11::HsmToken& token() override { return hsm_.token(); }

 private:
  LoggedInSoftHsm hsm_;
};

class FreshFaultyHsm final : public FreshToken {
 public:
  explicit FreshFaultyHsm(const std::string& rules = "") {
    if (!rules.empty()) {
      hsm_.Tell(rules);
    }
  }
  p11::HsmToken& token() override { return hsm_.token(); }

 private:
  FaultyHsm hsm_;
};

// SoftHSM2 without the mechanisms that hash and sign in one. 2.6.1 keeps the first name after the minus sign.
class FreshRawRsa final : public FreshToken {
 public:
  FreshRawRsa() {
    hsm_.Write("softhsm2.conf",
               "directories.tokendir = " + (hsm_.directory() / "tokens").string() +
                   "\nobjectstore.backend = file\nlog.level = ERROR\nslots.mechanisms = "
                   "-,CKM_SHA256_RSA_PKCS,CKM_SHA384_RSA_PKCS,CKM_SHA512_RSA_PKCS,CKM_SHA256_RSA_PKCS_PSS,"
                   "CKM_SHA384_RSA_PKCS_PSS,CKM_SHA512_RSA_PKCS_PSS\n");
    hsm_.AddToken("test");
    const auto module = *p11::Module::Load(SOFTHSM2_MODULE);
    token_ = *p11::HsmToken::LogIn(module, *module->FindToken(*TokenUri::Parse(hsm_.UriText())), hsm_.pin_file(),
                                   hsm_.directory());
  }
  p11::HsmToken& token() override { return *token_; }

 private:
  SoftHsm hsm_;
  std::unique_ptr<p11::HsmToken> token_;
};

}  // namespace

std::vector<TokenUnderTest> TokensUnderTest() {
  return {{.name = "SoftHSM2", .module_path = SOFTHSM2_MODULE, .make = [] { return std::make_unique<FreshSoftHsm>(); }},
          {.name = "SoftHSM2BehindFaultyHsm",
           .module_path = FaultyHsm::Module(),
           .make = [] { return std::make_unique<FreshFaultyHsm>(); }},
          // Handles may be any number.
          {.name = "LargeHandles",
           .module_path = FaultyHsm::Module(),
           .make = [] { return std::make_unique<FreshFaultyHsm>("C_FindObjects renumber times=0"); }},
          // CKR_FUNCTION_NOT_SUPPORTED, as tokens answer that hold only keys.
          {.name = "KeysOnly",
           .module_path = FaultyHsm::Module(),
           .make = [] { return std::make_unique<FreshFaultyHsm>("C_CreateObject fail=0x54"); },
           .lacks = {Lack::kCertificates, Lack::kDataObjects}},
          {.name = "RawRsa",
           .module_path = SOFTHSM2_MODULE,
           .make = [] { return std::make_unique<FreshRawRsa>(); },
           .lacks = {Lack::kProvider}}};
}

}  // namespace assertion
