#pragma once

#include <memory>
#include <string>

#include "softhsm.h"

namespace assertion {

// SoftHSM2 with two tokens: two HSMs behind one module. This process is logged in to both.
class TwoTokens : public SoftHsm {
 public:
  // Both tokens are empty.
  TwoTokens() {
    AddToken("east");
    AddToken("west");
    Open();
  }

  p11::HsmToken& east() { return *east_; }
  p11::HsmToken& west() { return *west_; }

  // Replaces the west token by a clone of the east. No other thread may use the tokens meanwhile.
  void CloneEast() {
    east_.reset();
    west_.reset();
    module_.reset();
    RemoveToken("west");
    CloneToken("east", "west");
    Open();
  }

 private:
  void Open() {
    module_ = *p11::Module::Load(SOFTHSM2_MODULE);
    east_ = LogIn("east");
    west_ = LogIn("west");
  }

  std::unique_ptr<p11::HsmToken> LogIn(const std::string& label) {
    const auto uri = *TokenUri::Parse(UriText(label));
    return *p11::HsmToken::LogIn(module_, *module_->FindToken(uri), pin_file(), directory());
  }

  std::shared_ptr<p11::Module> module_;
  std::unique_ptr<p11::HsmToken> east_;
  std::unique_ptr<p11::HsmToken> west_;
};

}  // namespace assertion
