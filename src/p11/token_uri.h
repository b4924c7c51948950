#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "assertion/error.h"

struct p11_kit_uri;

namespace assertion::p11 {

// The PKCS#11 URI (RFC 7512) that names the HSM: which module to load, which token to use, where its PIN is kept.
class TokenUri {
 public:
  // Wants a token attribute (token, serial, manufacturer, model, slot-id), `module-path` (absolute) and `pin-source`
  // (file:/path or /path). Refuses `pin-value`, attributes of objects, and everything it does not know.
  static Result<TokenUri> Parse(const std::string& text);

  const std::string& text() const { return text_; }
  const std::string& module_path() const { return module_path_; }
  const std::string& pin_path() const { return pin_path_; }

  // The attribute token; empty: it names the token by other attributes.
  const std::string& token_label() const { return token_label_; }

  // p11-kit's form of it, to match tokens with.
  p11_kit_uri* get() const { return uri_.get(); }

 private:
  struct Free {
    void operator()(p11_kit_uri* uri) const;
  };

  TokenUri() = default;

  std::unique_ptr<p11_kit_uri, Free> uri_;
  std::string text_;
  std::string module_path_;
  std::string pin_path_;
  std::string token_label_;
};

}  // namespace assertion::p11
