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
  // Told nothing, or these rules.
  explicit FreshFaultyHsm(const std::string& rules = "") {
    if (!rules.empty()) {
      hsm_.Tell(rules);
    }
  }
  p11::HsmToken& token() override { return hsm_.token(); }

 private:
  FaultyHsm hsm_;
};

}  // namespace

std::vector<TokenUnderTest> TokensUnderTest() {
  return {{.name = "SoftHSM2", .module_path = SOFTHSM2_MODULE, .make = [] { return std::make_unique<FreshSoftHsm>(); }},
          {.name = "SoftHSM2BehindFaultyHsm",
           .module_path = FaultyHsm::Module(),
           .make = [] { return std::make_unique<FreshFaultyHsm>(); }},
          // Handles are what the token likes; nobody may count on small ones.
          {.name = "LargeHandles",
           .module_path = FaultyHsm::Module(),
           .make = [] { return std::make_unique<FreshFaultyHsm>("C_FindObjects renumber times=0"); }},
          // CKR_FUNCTION_NOT_SUPPORTED: as tokens answer that hold keys and nothing else.
          {.name = "KeysOnly",
           .module_path = FaultyHsm::Module(),
           .make = [] { return std::make_unique<FreshFaultyHsm>("C_CreateObject fail=0x54"); },
           .lacks = {Lack::kStoredObjects}}};
}

}  // namespace assertion
