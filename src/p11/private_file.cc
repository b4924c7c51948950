#include "p11/private_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

namespace assertion::p11 {

Result<std::size_t> ReadPrivateFile(const std::string& name, const std::string& path, std::span<unsigned char> into) {
  const auto file = "the " + name + " " + path;
  const auto unreadable = [&](const std::string& why) {
    return Fail(Code::kPinUnreadable, file + " cannot be read: " + why);
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
    return Fail(Code::kPinExposed, file + " is open to others: chmod 600 " + path);
  }
  if (info.st_uid != geteuid() && info.st_uid != 0) {
    return Fail(Code::kPinExposed, file + " belongs to another user: chown it to this one");
  }
  const auto size = read(fd, into.data(), into.size());
  if (size < 0) {
    return unreadable(std::strerror(errno));
  }
  return static_cast<std::size_t>(size);
}

}  // namespace assertion::p11
