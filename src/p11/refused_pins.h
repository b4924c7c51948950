#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "assertion/error.h"
#include "p11/pin.h"

namespace assertion::p11 {

// Remembers across restarts which PINs a token refused, so that a supervisor's restart loop makes one login attempt
// and not ten: real tokens lock after a few. A record is a salted scrypt digest in a file of mode 0600, so a file that
// is written anew with the same wrong PIN (a mounted secret, a touch) is not tried again either.
class RefusedPins {
 public:
  RefusedPins(const std::string& state_directory, std::string_view token_serial);

  // Whether the token refused this PIN before. True as well when that cannot be known: who cannot tell must not try.
  bool Contain(const Pin& pin) const;

  // Called before the attempt, because who cannot remember must not try: makes a file with the room that Add needs, so
  // that a disk that is full fails this.
  Status Prepare() const;

  // After Prepare, when the token refused. Durable when it returns.
  Status Add(const Pin& pin) const;

  // After Prepare, when it did not.
  void Discard() const;

  // Removing it allows every PIN once more.
  const std::string& path() const { return path_; }

 private:
  std::vector<std::string> Lines() const;
  std::string Prepared() const { return path_ + ".try"; }

  std::string path_;
};

}  // namespace assertion::p11
