#pragma once

#include <filesystem>
#include <string>
#include <system_error>

namespace assertion {

// The name of the file that the path leads to, through symbolic links: modules with known faults are recognised by it.
// The path's own name when there is no such file.
inline std::string RealFileName(const std::string& path) {
  std::error_code error;
  const auto real = std::filesystem::canonical(path, error);
  return (error ? std::filesystem::path(path) : real).filename();
}

}  // namespace assertion
