#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "assertion/error.h"
#include "p11/pin.h"

namespace assertion::p11 {

// Remembers across restarts which PINs a token refused: a supervisor's restart loop makes one login attempt and not
// ten, because real tokens lock after a few. A record is a salted scrypt digest in a file of mode 0600, so a PIN file
// that is written again with the same wrong PIN (a mounted secret, a touch) is not tried again either.
class RefusedPins {
 public:
  RefusedPins(const std::string& state_directory, std::string_view token_serial);

  // True when the token refused this PIN before, or when that cannot be known.
  bool Contain(const Pin& pin) const;

  // Call before the attempt; when it fails, do not try. Reserves the disk space that Add needs, so that a refusal can
  // be recorded on a disk that is full by then.
  Status Prepare() const;

  // Call after Prepare when the token refused the PIN. Durable when it returns.
  Status Add(const Pin& pin) const;

  // Call after Prepare when the token did not refuse the PIN.
  void Discard() const;

  // Removing this file allows every PIN again.
  const std::string& path() const { return path_; }

 private:
  std::vector<std::string> Lines() const;
  std::string Prepared() const { return path_ + ".try"; }

  std::string path_;
};

}  // namespace assertion::p11
