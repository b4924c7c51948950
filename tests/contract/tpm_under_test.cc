#include "contract/token_under_test.h"
#include "tpm.h"

namespace assertion {
namespace {

class FreshTpm final : public FreshToken {
 public:
  p11::HsmToken& token() override { return tpm_.token(); }

 private:
  Tpm tpm_;
};

}  // namespace

std::vector<TokenUnderTest> TokensUnderTest() {
  return {{.name = "Tpm2",
           .module_path = TPM2_PKCS11_MODULE,
           .make = [] { return std::make_unique<FreshTpm>(); },
           .lacks = {Lack::kPss, Lack::kP521}}};
}

}  // namespace assertion
