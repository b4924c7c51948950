#include "cli/unreachable.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <deque>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

namespace assertion::cli {
namespace {

std::string GroupName(gid_t group) {
  const auto* const entry = getgrgid(group);
  return entry == nullptr ? std::to_string(group) : std::string(entry->gr_name);
}

std::string UserName(uid_t user) {
  const auto* const entry = getpwuid(user);
  return entry == nullptr ? std::to_string(user) : std::string(entry->pw_name);
}

// The first folder on the way to `path` that this process may not search; empty: there is none. A symbolic link may
// lead through folders that `path` does not name.
std::string FirstClosedFolder(const std::filesystem::path& path) {
  constexpr int kMostLinks = 40;  // as for the kernel
  std::deque<std::filesystem::path> parts(path.begin(), path.end());
  std::filesystem::path folder = ".";
  for (int links = 0; !parts.empty() && links <= kMostLinks;) {
    const auto part = std::move(parts.front());
    parts.pop_front();
    if (part.is_absolute()) {
      folder = part;
      continue;
    }
    if (faccessat(AT_FDCWD, folder.c_str(), X_OK, AT_EACCESS) != 0) {
      return errno == EACCES ? folder.string() : std::string();
    }
    std::error_code no_link;
    const auto target = std::filesystem::read_symlink(folder / part, no_link);
    if (no_link) {
      folder /= part;
    } else {
      ++links;
      parts.insert(parts.begin(), target.begin(), target.end());
    }
  }
  return "";
}

// Names who may search the folder: its group if that may, else its owner. Nobody should join root's group.
std::string WhyNotSearched(const std::string& folder) {
  auto may_not = "you may not search the folder " + folder + ", which leads to it";
  struct stat info{};
  if (stat(folder.c_str(), &info) != 0) {
    return may_not;
  }
  return may_not + ((info.st_mode & S_IXGRP) != 0 && info.st_gid != 0
                        ? ": it needs membership of the group " + GroupName(info.st_gid)
                        : ": only its owner may, the user " + UserName(info.st_uid));
}

}  // namespace

std::string WhyUnreachable(int error, const std::string& path) {
  if (error == ENOENT) {
    return "there is no such file";
  }
  struct stat info{};
  if (error == ECONNREFUSED) {
    return stat(path.c_str(), &info) == 0 && !S_ISSOCK(info.st_mode)
               ? std::string("it is ") + (S_ISDIR(info.st_mode) ? "a folder" : "a file") + ", not a socket"
               : "no process listens there: a server that ended left the socket";
  }
  if (error == EACCES && stat(path.c_str(), &info) == 0) {
    return info.st_gid == 0  // nobody should join root's
               ? "you may not open it: assertiond's listen_group must be set to one of your groups"
               : "you may not open it: it needs membership of the group " + GroupName(info.st_gid);
  }
  if (error == EACCES) {
    if (const auto folder = FirstClosedFolder(path); !folder.empty()) {
      return WhyNotSearched(folder);
    }
  }
  return error == EAGAIN ? "a process listens there and accepts no connection" : std::strerror(error);
}

}  // namespace assertion::cli
