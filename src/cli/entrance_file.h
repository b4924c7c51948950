#pragma once

#include <string>

#include "assertion/error.h"

namespace assertion::cli {

// A file of mode 0600 that takes the browser to an address that is for one person. The browser's command line, which
// other users can read, names the file in place of the address. It is removed with the object, and when SIGINT, SIGTERM
// or SIGHUP ends the process. There is one at a time. It is in $XDG_RUNTIME_DIR if only root and this user can write
// there, else in /tmp.
class EntranceFile {
 public:
  static Result<EntranceFile> Write(const std::string& address);

  EntranceFile(EntranceFile&& other) noexcept;
  EntranceFile& operator=(EntranceFile&&) = delete;
  EntranceFile(const EntranceFile&) = delete;
  EntranceFile& operator=(const EntranceFile&) = delete;
  ~EntranceFile();

  std::string url() const { return "file://" + path_; }

 private:
  explicit EntranceFile(std::string path) : path_(std::move(path)) {}

  std::string path_;
};

}  // namespace assertion::cli
