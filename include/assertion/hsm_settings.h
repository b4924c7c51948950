#pragma once

#include <array>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "assertion/attribute_names.h"
#include "assertion/token_uri.h"

namespace assertion {

// The attributes without which a key never signs.
inline constexpr std::array<std::string_view, 5> kEssentialAttributes = {"CKA_SENSITIVE", "CKA_EXTRACTABLE", "CKA_SIGN",
                                                                         "CKA_PRIVATE", "CKA_TOKEN"};

// In accept_unshown: keys may be made on a token that let a throw-away key out (see CustodyTrial).
inline constexpr std::string_view kCustody = "custody";

// Attributes that an operator may accept although the token does not show them as custody requires.
inline constexpr std::array<std::string_view, 10> kAcceptable = {
    "CKA_ALWAYS_SENSITIVE", "CKA_NEVER_EXTRACTABLE", "CKA_LOCAL",    "CKA_DECRYPT",    "CKA_UNWRAP",
    "CKA_DERIVE",           "CKA_SIGN_RECOVER",      "CKA_COPYABLE", "CKA_MODIFIABLE", kCustody};

// An HSM as the configuration names it: the field hsm, or an entry of it.
struct HsmSettings {
  TokenUri uri;
  std::string init_args;                           // for C_Initialize, as pReserved; empty: none
  std::map<std::string, std::string> environment;  // set in this process before the module is loaded
  AttributeNames accept_unshown;                   // of kAcceptable

  const std::string& module_path() const { return uri.module_path(); }
  const std::string& pin_path() const { return uri.pin_path(); }
  std::string token_label() const { return uri.token_label(); }

  friend bool operator==(const HsmSettings& a, const HsmSettings& b) {
    return a.uri.text() == b.uri.text() && a.init_args == b.init_args && a.environment == b.environment &&
           a.accept_unshown == b.accept_unshown;
  }
};

}  // namespace assertion
