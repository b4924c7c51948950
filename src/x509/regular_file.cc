#include "x509/regular_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "assertion/descriptor.h"

namespace assertion::x509 {
namespace {

std::unexpected<Error> CannotBeRead(const std::string& why) {
  return Fail(Code::kConfigInvalid, "cannot be read: " + why);
}

std::unexpected<Error> NotRegular(mode_t mode) {
  const char* const kind = S_ISDIR(mode)    ? "a folder"
                           : S_ISFIFO(mode) ? "a FIFO"
                           : S_ISSOCK(mode) ? "a socket"
                                            : "a device";
  return CannotBeRead(std::string("it is ") + kind + ", not a regular file");
}

}  // namespace

Status CheckRegularFile(const std::string& path) {
  struct stat info{};
  if (stat(path.c_str(), &info) != 0) {
    return CannotBeRead(std::strerror(errno));
  }
  return S_ISREG(info.st_mode) ? Status() : NotRegular(info.st_mode);
}

Result<std::string> ReadRegularFile(const std::string& path, std::size_t most) {
  struct stat info{};
  // Checked before the open, because opening a device can have effects, and after it, because the name may lead to
  // another file by then.
  if (stat(path.c_str(), &info) != 0) {
    return CannotBeRead(std::strerror(errno));
  }
  Descriptor file;
  if (S_ISREG(info.st_mode)) {
    file = Descriptor(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
    if (file.get() < 0 || fstat(file.get(), &info) != 0) {
      return CannotBeRead(std::strerror(errno));
    }
  }
  if (!S_ISREG(info.st_mode)) {
    return NotRegular(info.st_mode);
  }
  constexpr std::size_t kPiece = std::size_t{64} << 10U;
  std::string text;
  text.reserve(std::min(most, static_cast<std::size_t>(std::max<off_t>(info.st_size, 0))));
  std::array<char, kPiece> piece{};
  while (text.size() <= most) {
    const auto count = read(file.get(), piece.data(), std::min(piece.size(), most + 1 - text.size()));
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count < 0) {
      return CannotBeRead(std::strerror(errno));
    }
    if (count == 0) {
      return text;
    }
    text.append(piece.data(), static_cast<std::size_t>(count));
  }
  return Fail(Code::kConfigInvalid, "larger than " + std::to_string(most >> 20U) + " MiB");
}

}  // namespace assertion::x509
