#include "x509/openssl.h"

#include <openssl/err.h>
#include <openssl/rand.h>

#include <array>

namespace assertion::x509 {

bool RandomOctets(std::span<std::uint8_t> octets) {
  return RAND_bytes(octets.data(), static_cast<int>(octets.size())) == 1;
}

std::string TakeErrors() {
  std::string line;
  while (const auto error = ERR_get_error()) {
    std::array<char, 256> text{};
    ERR_error_string_n(error, text.data(), text.size());
    line += (line.empty() ? "" : "; ") + std::string(text.data());
  }
  return line.empty() ? "OpenSSL gave no reason" : line;
}

}  // namespace assertion::x509
