#include "cli/browser.h"

#include <spawn.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <utility>

namespace assertion::cli {

Result<std::optional<EntranceFile>> OpenBrowser(const std::string& address) {
  if (std::getenv("DISPLAY") == nullptr && std::getenv("WAYLAND_DISPLAY") == nullptr) {
    return std::nullopt;
  }
  ASSIGN_OR_RETURN(auto file, EntranceFile::Write(address));
  std::string program = "xdg-open";
  auto url = file.url();
  std::array<char*, 3> words = {program.data(), url.data(), nullptr};
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO);  // standard output is for --json
  pid_t child = 0;
  posix_spawnp(&child, program.c_str(), &files, nullptr, words.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  return file;
}

}  // namespace assertion::cli
