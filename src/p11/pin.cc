#include "p11/pin.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace assertion::p11 {
namespace {

// The first line's end, or the whole. An editor's final newline is not part of the PIN.
std::size_t TrimmedSize(const unsigned char* octets, std::size_t size) {
  if (size > 0 && octets[size - 1] == '\n') {
    --size;
  }
  return size > 0 && octets[size - 1] == '\r' ? size - 1 : size;
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
  pin.file_identity_ = std::to_string(info.st_dev) + ':' + std::to_string(info.st_ino) + ':' +
                       std::to_string(info.st_size) + ':' + std::to_string(info.st_mtim.tv_sec) + '.' +
                       std::to_string(info.st_mtim.tv_nsec);
  return pin;
}

}  // namespace assertion::p11
