#include "x509/lock_holder.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cstddef>
#include <fstream>
#include <sstream>

#include "assertion/foreign_text.h"

namespace assertion::x509 {
namespace {

// As /proc/locks names a file: the device's two numbers in hexadecimal, and the inode.
std::string NameInLocks(const struct stat& file) {
  std::ostringstream name;
  const auto two = [&](unsigned number) { name << (number < 0x10 ? "0" : "") << std::hex << number << ':'; };
  two(major(file.st_dev));
  two(minor(file.st_dev));
  name << std::dec << file.st_ino;
  return name.str();
}

}  // namespace

std::string HolderOfLock(int file) {
  constexpr std::size_t kMostOfName = 16;  // the kernel's own limit
  constexpr const char* kUnknown = "another process";
  struct stat info{};
  if (fstat(file, &info) != 0) {
    return kUnknown;
  }
  const auto name = NameInLocks(info);
  std::ifstream locks("/proc/locks");
  for (std::string line; std::getline(locks, line);) {
    // "5: FLOCK  ADVISORY  WRITE 4711 fe:00:10979858 0 EOF"; "5: -> FLOCK …" waits for it
    std::istringstream words(line);
    std::string number;
    std::string kind;
    std::string mode;
    std::string access;
    long pid = 0;
    std::string locked;
    if (words >> number >> kind >> mode >> access >> pid >> locked && kind == "FLOCK" && locked == name && pid > 0) {
      std::string program;
      std::getline(std::ifstream("/proc/" + std::to_string(pid) + "/comm"), program);
      return (program.empty() ? "the process" : Shown(program, kMostOfName)) + " with the pid " + std::to_string(pid);
    }
  }
  return kUnknown;
}

}  // namespace assertion::x509
