#include "cli/key/secret_input.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "assertion/descriptor.h"

namespace assertion::cli {
namespace {

std::unexpected<Error> Unusable(const std::string& what, const std::string& why) {
  return Fail(Code::kConfigInvalid, what + ": " + why);
}

}  // namespace

Result<Secret> ReadSecret(int descriptor, std::size_t most, const std::string& what) {
  struct stat info{};
  if (fstat(descriptor, &info) != 0) {
    return Unusable(what, "descriptor " + std::to_string(descriptor) + " is not open");
  }
  if (isatty(descriptor) != 0) {
    return Unusable(what, "is not read from a terminal, which keeps what it has shown: give a pipe");
  }
  if (!S_ISFIFO(info.st_mode) && !S_ISSOCK(info.st_mode)) {
    return Unusable(what,
                    "is read from a pipe alone, because a file would leave it on a disk: pipe it from the program that "
                    "has it (if it is in a file already: cat FILE | assertionctl …, then destroy the file)");
  }
  Secret octets(most + 1);
  const auto size = ReadAll(descriptor, {octets.data(), octets.size()});
  if (!size) {
    return Unusable(what, std::string("cannot be read: ") + std::strerror(errno));
  }
  if (*size == 0 || *size > most) {
    return Unusable(what, *size == 0 ? "is empty" : "is longer than " + std::to_string(most) + " octets");
  }
  return Secret(octets.view().first(*size));
}

}  // namespace assertion::cli
