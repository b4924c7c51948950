#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <utility>

#include "assertion/bytes.h"

namespace assertion {

// Octets that must not outlive their use. They have memory pages of their own, which are wiped when they go, stay out of
// core files, and out of swap where the system allows it. Cannot be copied. Moving it leaves the octets where they are,
// so that views stay valid.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::size_t size) : size_(size) {
    if (size == 0) {
      return;
    }
    auto* const pages = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) {
      throw std::bad_alloc();
    }
    octets_ = static_cast<std::uint8_t*>(pages);
    mlock(pages, size);  // best effort: RLIMIT_MEMLOCK may be 0
    madvise(pages, size, MADV_DONTDUMP);
  }
  explicit Secret(BytesView octets) : Secret(octets.size()) { std::ranges::copy(octets, octets_); }

  Secret(Secret&& other) noexcept
      : octets_(std::exchange(other.octets_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Secret& operator=(Secret&& other) noexcept {
    std::swap(octets_, other.octets_);
    std::swap(size_, other.size_);
    return *this;
  }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret() {
    if (octets_ != nullptr) {
      explicit_bzero(octets_, size_);
      munmap(octets_, size_);
    }
  }

  std::uint8_t* data() { return octets_; }
  std::size_t size() const { return size_; }
  BytesView view() const { return {octets_, size_}; }

 private:
  std::uint8_t* octets_ = nullptr;
  std::size_t size_ = 0;
};

// Wipes octets that another class holds, for example a string of a message.
void WipeOctets(auto& container) { explicit_bzero(container.data(), container.size()); }

}  // namespace assertion
