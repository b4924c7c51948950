#include "policy/jti.h"

#include <array>
#include <cstdint>
#include <span>

#include "assertion/bytes.h"

namespace assertion {
namespace {

// RFC 9562 section 5.4: 122 random bits, the version and the variant.
std::string Uuid4(std::span<std::uint8_t, 16> octets) {
  octets[6] = (octets[6] & 0x0FU) | 0x40U;
  octets[8] = (octets[8] & 0x3FU) | 0x80U;
  auto text = Hex(octets);
  for (const std::size_t position : {8U, 13U, 18U, 23U}) {
    text.insert(position, 1, '-');
  }
  return text;
}

}  // namespace

Result<std::string> NewJti(JtiForm form, std::size_t length, const Random& random) {
  if (form == JtiForm::kNone) {
    return std::string();
  }
  std::array<std::uint8_t, 32> octets{};
  if (!random(octets)) {
    return Fail(Code::kInternal, "the random number generator failed");
  }
  return form == JtiForm::kUuid ? Uuid4(std::span(octets).first<16>()) : Hex(octets).substr(0, length);
}

}  // namespace assertion
