#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "assertion/bytes.h"

namespace assertion {

// Wipes octets that a class holds, for example a string of a message.
void WipeOctets(auto& container) {
  if (!container.empty()) {  // data() of an empty vector may be null, which explicit_bzero does not take
    explicit_bzero(container.data(), container.size());
  }
}

// Octets that must not outlive their use: they are wiped when they go. Cannot be copied. Moving it leaves the octets
// where they are, so that views stay valid. It does not keep them out of core files: see p11::DenyInspection.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::size_t size) : octets_(size) {}
  explicit Secret(BytesView octets) : octets_(octets.begin(), octets.end()) {}

  Secret(Secret&& other) noexcept : octets_(std::exchange(other.octets_, {})) {}
  Secret& operator=(Secret&& other) noexcept {
    std::swap(octets_, other.octets_);
    return *this;
  }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret() { WipeOctets(octets_); }

  std::uint8_t* data() { return octets_.data(); }
  std::size_t size() const { return octets_.size(); }
  BytesView view() const { return octets_; }

 private:
  Bytes octets_;  // never grows, which would leave a copy behind
};

}  // namespace assertion
