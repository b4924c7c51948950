#include "cli/browser.h"

#include <spawn.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

namespace assertion::cli {

bool HasDesktop() { return std::getenv("DISPLAY") != nullptr || std::getenv("WAYLAND_DISPLAY") != nullptr; }

void OpenBrowser(const std::string& url) {
  if (!HasDesktop()) {
    return;
  }
  std::string program = "xdg-open";
  auto address = url;
  std::array<char*, 3> words = {program.data(), address.data(), nullptr};
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO);  // standard output is for --json
  pid_t child = 0;
  posix_spawnp(&child, program.c_str(), &files, nullptr, words.data(), environ);
  posix_spawn_file_actions_destroy(&files);
}

}  // namespace assertion::cli
