#pragma once

#include <cstddef>
#include <string>

namespace assertion::p11 {

// The text of a Cryptoki field that is padded with blanks (PKCS#11 v2.40 section 3.2).
template <std::size_t N>
std::string Trimmed(const unsigned char (&padded)[N]) {  // NOLINT(modernize-avoid-c-arrays): Cryptoki's
  std::string text(reinterpret_cast<const char*>(padded), N);
  text.erase(text.find_last_not_of(' ') + 1);
  return text;
}

}  // namespace assertion::p11
