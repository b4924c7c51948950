#include "cli/entrance_file.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "assertion/descriptor.h"
#include "cli/html.h"
#include "keys/trusted_folder.h"

namespace assertion::cli {
namespace {

// The file's name for the signal handler, which may use no string.
std::array<char, PATH_MAX> removed_at_signal{};

extern "C" void RemoveAndEnd(int signal) {
  unlink(removed_at_signal.data());
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

// The browser opens the file by its path, so nobody else may replace it. After su(1), $XDG_RUNTIME_DIR may be another
// user's.
Result<std::string> EntranceFolder() {
  const char* const own = std::getenv("XDG_RUNTIME_DIR");
  if (own != nullptr && *own == '/' && CheckTrustedFolder(own)) {
    return own;
  }
  RETURN_IF_ERROR(CheckTrustedFolder("/tmp", Sticky::kFoldersAndFiles));
  return "/tmp";
}

}  // namespace

Result<EntranceFile> EntranceFile::Write(const std::string& address) {
  ASSIGN_OR_RETURN(const auto folder, EntranceFolder());
  std::string path = folder + "/assertiond-XXXXXX.html";
  constexpr int kSuffix = 5;
  if (path.size() >= removed_at_signal.size()) {
    return Fail(Code::kConfigInvalid, "$XDG_RUNTIME_DIR is too long");
  }
  const Descriptor file(mkstemps(path.data(), kSuffix));  // mode 0600
  if (file.get() < 0) {
    return Fail(Code::kConfigInvalid, "cannot make a file for the browser beside " + path, std::strerror(errno));
  }
  EntranceFile made(path);
  path.copy(removed_at_signal.data(), path.size());
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    if (std::signal(signal, RemoveAndEnd) == SIG_IGN) {
      std::signal(signal, SIG_IGN);  // nohup
    }
  }
  if (!WriteAll(file,
                "<!doctype html><meta charset=\"utf-8\"><meta name=\"referrer\" content=\"no-referrer\">"
                "<meta http-equiv=\"refresh\" content=\"0;url=" +
                    Escaped(address) + "\">\n")) {
    return Fail(Code::kConfigInvalid, "cannot write " + path, std::strerror(errno));
  }
  return made;
}

EntranceFile::EntranceFile(EntranceFile&& other) noexcept : path_(std::exchange(other.path_, {})) {}

EntranceFile::~EntranceFile() {
  if (!path_.empty()) {
    unlink(path_.c_str());
  }
}

}  // namespace assertion::cli
