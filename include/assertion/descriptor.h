#pragma once

#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

namespace assertion {

// Owns a file descriptor; negative: none.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) {
      close(fd_);
    }
  }

  int get() const { return fd_; }

 private:
  int fd_ = -1;
};

// Reads to the end, or until `into` is full. Nothing on failure: errno has the reason.
inline std::optional<std::size_t> ReadAll(int file, std::span<unsigned char> into) {
  std::size_t size = 0;
  while (size < into.size()) {
    const auto count = read(file, into.data() + size, into.size() - size);
    if (count < 0 && errno != EINTR) {
      return std::nullopt;
    }
    if (count == 0) {
      break;
    }
    size += count < 0 ? 0 : static_cast<std::size_t>(count);
  }
  return size;
}

// False on failure: errno has the reason, and a part may have been written.
inline bool WriteAll(const Descriptor& file, std::string_view text) {
  while (!text.empty()) {
    const auto count = write(file.get(), text.data(), text.size());
    if (count < 0 && errno != EINTR) {
      return false;
    }
    text.remove_prefix(count < 0 ? 0 : static_cast<std::size_t>(count));
  }
  return true;
}

}  // namespace assertion
