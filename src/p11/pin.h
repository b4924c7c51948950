#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "assertion/bytes.h"
#include "assertion/error.h"

namespace assertion::p11 {

// From then on the process leaves no core file, and other processes of the same user cannot trace it or read its memory
// (prctl(2), PR_SET_DUMPABLE). False, with errno: the system refused.
bool DenyInspection();

// The user PIN of a token. Cannot be copied, printed or compared. Kept in locked memory and wiped.
class Pin {
 public:
  static constexpr std::size_t kMaxSize = 255;

  // Reads a regular file of one line, after DenyInspection. Errors: see ReadPrivateFile.
  static Result<Pin> ReadFile(const std::string& path);

  Pin(Pin&&) = default;
  Pin& operator=(Pin&&) = default;
  Pin(const Pin&) = delete;
  Pin& operator=(const Pin&) = delete;
  ~Pin() = default;

  // scrypt (RFC 7914) of the PIN: recognises the same PIN, and makes guessing it from the digest expensive. Empty when
  // OpenSSL fails.
  Bytes Digest(BytesView salt) const;

 private:
  friend class Session;  // for C_Login

  struct Buffer {
    std::array<unsigned char, kMaxSize + 2> octets{};
    std::size_t size = 0;
  };
  struct Wipe {
    void operator()(Buffer* buffer) const;
  };

  Pin() = default;

  std::unique_ptr<Buffer, Wipe> buffer_;
};

}  // namespace assertion::p11
