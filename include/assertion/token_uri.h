#pragma once

#include <optional>
#include <string>

#include "assertion/error.h"

namespace assertion {

// The PKCS#11 URI (RFC 7512) that names an HSM: the module to load, the token to use, the file that holds its PIN.
class TokenUri {
 public:
  // The attributes that a token must have; unset: any value. Texts have no trailing blanks.
  struct Attributes {
    std::optional<std::string> label;  // the attribute token
    std::optional<std::string> manufacturer;
    std::optional<std::string> model;
    std::optional<std::string> serial;
    std::optional<unsigned long> slot;  // slot-id
  };

  // Requires a token attribute (token, serial, manufacturer, model, slot-id), `module-path` (absolute) and `pin-source`
  // (file:/path or /path). Refuses `pin-value`, attributes of objects, and unknown attributes. kConfigInvalid.
  static Result<TokenUri> Parse(const std::string& text);

  const std::string& text() const { return text_; }
  const std::string& module_path() const { return module_path_; }
  const std::string& pin_path() const { return pin_path_; }
  const Attributes& attributes() const { return attributes_; }

  // The attribute token; empty when the URI names the token by other attributes.
  std::string token_label() const { return attributes_.label.value_or(""); }

 private:
  TokenUri() = default;

  std::string text_;
  std::string module_path_;
  std::string pin_path_;
  Attributes attributes_;
};

}  // namespace assertion
