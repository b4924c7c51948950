#include "keys/trusted_folder.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <filesystem>
#include <ranges>
#include <string_view>
#include <system_error>
#include <vector>

namespace assertion {
namespace {

std::unexpected<Error> NotTrusted(const std::string& path, const std::string& why) {
  return Fail(Code::kFailedPrecondition, path + " " + why);
}

// The components, the last first, without those that mean nothing.
void Push(std::vector<std::string>& left, std::string_view path) {
  std::vector<std::string> parts;
  for (const auto part : path | std::views::split('/')) {
    if (const std::string_view name(part.begin(), part.end()); !name.empty() && name != ".") {
      parts.emplace_back(name);
    }
  }
  left.insert(left.end(), parts.rbegin(), parts.rend());
}

bool IsOurs(const struct stat& info) { return info.st_uid == 0 || info.st_uid == geteuid(); }

bool IsShared(const struct stat& info) { return (info.st_mode & (S_IWGRP | S_IWOTH)) != 0; }

Status CheckOwner(const std::string& path, const struct stat& info) {
  constexpr uid_t kOverflow = 65534;  // user_namespaces(7): of a user whom this container does not map
  return IsOurs(info)
             ? Status()
             : NotTrusted(path, "belongs to user " + std::to_string(info.st_uid) +
                                    (info.st_uid == kOverflow ? " (nobody, or one outside of this container)" : "") +
                                    ", who could put something else there: it must belong to root or to the "
                                    "user that runs this program");
}

Status CheckFileMode(const std::string& path, const struct stat& info) {
  return !IsShared(info) ? Status()
                         : NotTrusted(path, std::string("is writable by ") +
                                                ((info.st_mode & S_IWOTH) != 0 ? "everybody" : "its group") +
                                                ": chmod go-w " + path);
}

Status CheckMode(const std::string& path, const struct stat& info, bool sticky_will_do) {
  if (!IsShared(info) || (sticky_will_do && (info.st_mode & S_ISVTX) != 0)) {
    return {};
  }
  const char* const whom = (info.st_mode & S_IWOTH) != 0 ? "everybody, who" : "its group, whose members";
  // A sticky folder is the system's, such as /tmp.
  const auto what_to_do =
      (info.st_mode & S_ISVTX) != 0 ? ": make a folder in it, of mode 0755" : ": chmod 0755 " + path;
  return NotTrusted(path, std::string("is writable by ") + whom + " could put something else there" + what_to_do);
}

// What stands at the end of a path.
enum class Last { kFolder, kFile };

// Checks each component of `path`, and of what a link leads to.
Status Walk(const std::string& path, Sticky sticky, Last last) {
  constexpr int kMostLinks = 40;  // path_resolution(7)
  std::vector<std::string> left;
  Push(left, path);
  std::string at = "/";
  int links = 0;
  while (true) {
    struct stat info{};
    if (lstat(at.c_str(), &info) != 0) {
      if (errno == ENOENT) {
        return Fail(Code::kNotFound, at + " does not exist");
      }
      return NotTrusted(at, std::string("cannot be looked at: ") + std::strerror(errno));
    }
    // Also of a link: in a sticky folder its owner could make it lead elsewhere.
    RETURN_IF_ERROR(CheckOwner(at, info));
    if (S_ISLNK(info.st_mode)) {
      std::array<char, PATH_MAX> target{};
      const auto size = readlink(at.c_str(), target.data(), target.size());
      if (size <= 0 || ++links > kMostLinks) {
        return NotTrusted(at, "leads nowhere");
      }
      const std::string_view text(target.data(), static_cast<std::size_t>(size));
      Push(left, text);
      at = text.front() == '/' ? "/" : at.substr(0, std::max<std::size_t>(at.rfind('/'), 1));
      continue;
    }
    if (left.empty() && last == Last::kFile) {
      return CheckFileMode(at, info);
    }
    if (!S_ISDIR(info.st_mode)) {
      return NotTrusted(at, "is no folder");
    }
    const bool sticky_will_do = !left.empty() || sticky == Sticky::kFoldersAndFiles;
    if (auto mode = CheckMode(at, info, sticky_will_do); !mode || left.empty()) {
      return mode;
    }
    const auto next = std::move(left.back());
    left.pop_back();
    if (next == "..") {
      at = at.substr(0, std::max<std::size_t>(at.rfind('/'), 1));
    } else {
      at += (at == "/" ? "" : "/") + next;
    }
  }
}

}  // namespace

Status CheckTrustedFolder(const std::string& folder, Sticky sticky) { return Walk(folder, sticky, Last::kFolder); }

Status CheckTrustedFile(const std::string& file) {
  std::error_code failed;
  const auto absolute = std::filesystem::absolute(file, failed);
  struct statvfs mount{};
  if (failed || statvfs(absolute.c_str(), &mount) != 0) {
    return NotTrusted(file, "cannot be looked at");
  }
  return (mount.f_flag & ST_RDONLY) != 0 ? Status() : Walk(absolute, Sticky::kFoldersAndFiles, Last::kFile);
}

}  // namespace assertion
