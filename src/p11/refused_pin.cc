#include "p11/refused_pin.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

namespace assertion::p11 {
namespace {

Status WriteDurably(const std::string& path, const std::string& text) {
  const auto fail = [&](const char* call) {
    return Fail(Code::kConfigInvalid, "state_directory: cannot write " + path + ": " + std::strerror(errno), call);
  };
  auto temporary = path + ".XXXXXX";
  const int fd = mkostemp(temporary.data(), O_CLOEXEC);
  if (fd < 0) {
    return fail("mkostemp");
  }
  const bool written = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && fsync(fd) == 0;
  if (close(fd) != 0 || !written || rename(temporary.c_str(), path.c_str()) != 0) {
    const auto failed = fail("write");
    unlink(temporary.c_str());
    return failed;
  }
  const int folder = open(path.substr(0, path.rfind('/') + 1).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder >= 0) {
    fsync(folder);
    close(folder);
  }
  return {};
}

}  // namespace

RefusedPin::RefusedPin(const std::string& state_directory, std::string_view token_serial,
                       std::string_view pin_file_identity)
    : path_(state_directory + "/pin-refused"),
      attempt_("token " + std::string(token_serial) + " refused the PIN of file " + std::string(pin_file_identity) +
               "\n") {}

bool RefusedPin::WasRefused() const {
  std::ifstream file(path_);
  return std::string(std::istreambuf_iterator(file), {}) == attempt_;
}

Status RefusedPin::Prepare() const {
  const auto trial = path_ + ".try";
  const auto written = WriteDurably(trial, attempt_);
  unlink(trial.c_str());
  return written;
}

Status RefusedPin::Remember() const { return WriteDurably(path_, attempt_); }

void RefusedPin::Forget() const { unlink(path_.c_str()); }

}  // namespace assertion::p11
