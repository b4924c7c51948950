#include "p11/pin.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace assertion::p11 {
namespace {

// An editor's final newline is not part of the PIN.
std::size_t TrimmedSize(const unsigned char* octets, std::size_t size) {
  return size > 0 && octets[size - 1] == '\n' ? size - 1 : size;
}

}  // namespace

void Pin::Wipe::operator()(Buffer* buffer) const {
  explicit_bzero(buffer, sizeof *buffer);
  munlock(buffer, sizeof *buffer);
  delete buffer;
}

Result<Pin> Pin::ReadFile(const std::string& path) {
  const auto unreadable = [&](const std::string& why) {
    return Fail(Code::kPinUnreadable, "the PIN file " + path + " cannot be read: " + why);
  };
  // O_NONBLOCK: a FIFO put there must not hang the start.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) {
    return unreadable(std::strerror(errno));
  }
  const auto close_fd =
      std::unique_ptr<const int, void (*)(const int*)>(&fd, [](const int* open_fd) { close(*open_fd); });
  struct stat info{};
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    return unreadable("it is not a regular file");
  }
  if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return Fail(Code::kPinExposed, "the PIN file " + path + " is open to others: chmod 600 " + path);
  }
  if (info.st_uid != geteuid() && info.st_uid != 0) {
    return Fail(Code::kPinExposed, "the PIN file " + path + " belongs to another user: chown it to this one");
  }

  Pin pin;
  pin.buffer_.reset(new Buffer);
  mlock(pin.buffer_.get(), sizeof(Buffer));  // best effort: RLIMIT_MEMLOCK may be 0
  auto& octets = pin.buffer_->octets;
  const auto size = read(fd, octets.data(), octets.size());
  if (size < 0) {
    return unreadable(std::strerror(errno));
  }
  pin.buffer_->size = TrimmedSize(octets.data(), static_cast<std::size_t>(size));
  if (pin.buffer_->size == 0 || pin.buffer_->size > kMaxSize ||
      std::memchr(octets.data(), '\n', pin.buffer_->size) != nullptr) {
    return unreadable("it must hold one line of 1 to 255 octets");
  }
  return pin;
}

Bytes Pin::Digest(BytesView salt) const {
  constexpr std::uint64_t kCost = 1U << 15U;  // about 0.1 s, 32 MiB
  constexpr std::uint64_t kBlock = 8;
  constexpr std::uint64_t kMostMemory = std::uint64_t{64} << 20U;
  Bytes digest(32);
  const auto* text = reinterpret_cast<const char*>(buffer_->octets.data());
  const bool made = EVP_PBE_scrypt(text, buffer_->size, salt.data(), salt.size(), kCost, kBlock, 1, kMostMemory,
                                   digest.data(), digest.size()) == 1;
  return made ? digest : Bytes();
}

}  // namespace assertion::p11
