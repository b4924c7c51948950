#pragma once

#include <string>
#include <string_view>

#include "assertion/error.h"

namespace assertion::p11 {

// Remembers across restarts that a token refused a PIN, so that a supervisor's restart loop makes one login attempt
// and not ten: real tokens lock after a few. Forgets when the PIN file changes. Holds nothing of the PIN itself.
class RefusedPin {
 public:
  // `token_serial` and `pin_file_identity` say which attempt is meant.
  RefusedPin(const std::string& state_directory, std::string_view token_serial, std::string_view pin_file_identity);

  // Whether exactly this attempt has been refused before.
  bool WasRefused() const;

  // Makes sure that Remember will be able to write. Called before the attempt: who cannot remember must not try.
  Status Prepare() const;

  // Durable when it returns.
  Status Remember() const;

  // After a login that the token accepted.
  void Forget() const;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
  std::string attempt_;
};

}  // namespace assertion::p11
