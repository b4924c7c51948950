#include "p11/private_file.h"

#include <endian.h>
#include <fcntl.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <string_view>

#include "assertion/descriptor.h"

namespace assertion::p11 {
namespace {

constexpr std::string_view kDescriptors = "/dev/fd/";

// The descriptor that "/dev/fd/N" names, from 3 on; -1 when the path is another.
int DescriptorOf(std::string_view path) {
  if (!path.starts_with(kDescriptors)) {
    return -1;
  }
  path.remove_prefix(kDescriptors.size());
  int fd = -1;
  const auto [end, failed] = std::from_chars(path.data(), path.data() + path.size(), fd);
  return failed == std::errc() && end == path.data() + path.size() && fd >= 3 ? fd : -1;
}

// True when an access control list (acl(5)) lets only the file's owner and this process's user read. systemd passes
// credentials with such a list.
bool IsForThisUserOnly(std::span<const posix_acl_xattr_entry> list) {
  return std::ranges::all_of(list, [](const posix_acl_xattr_entry& entry) {
    const auto tag = le16toh(entry.e_tag);
    return tag == ACL_USER_OBJ || tag == ACL_MASK || entry.e_perm == 0 ||
           (tag == ACL_USER && le32toh(entry.e_id) == geteuid());
  });
}

constexpr const char* kAccessControlList = "system.posix_acl_access";

// For a file without an access control list. The group of a process that is not root may read one of root: Kubernetes
// passes secrets this way.
bool HasOpenMode(const struct stat& info) {
  const auto group = info.st_mode & S_IRWXG;
  return (info.st_mode & S_IRWXO) != 0 || (group != 0 && (group != S_IRGRP || info.st_uid != 0));
}

// For a file that root or this process's user owns. With an access control list its group bits are the list's mask.
bool IsOpenToOthers(int fd, const struct stat& info) {
  if ((info.st_mode & S_IRWXO) != 0) {
    return true;
  }
  if ((info.st_mode & S_IRWXG) == 0) {
    return false;
  }
  struct {
    posix_acl_xattr_header header;
    std::array<posix_acl_xattr_entry, 16> entries;
  } list{};
  const auto size = fgetxattr(fd, kAccessControlList, &list, sizeof list);
  if (size > static_cast<ssize_t>(sizeof list.header)) {
    const auto count = (static_cast<std::size_t>(size) - sizeof list.header) / sizeof list.entries[0];
    return le32toh(list.header.a_version) != POSIX_ACL_XATTR_VERSION ||
           !IsForThisUserOnly(std::span(list.entries).first(count));
  }
  const bool has_none = size < 0 && (errno == ENODATA || errno == EOPNOTSUPP);
  return !has_none || HasOpenMode(info) || info.st_uid == geteuid() || info.st_gid != getegid();
}

// Reads to the end, or until `into` is full.
Result<std::size_t> Drain(const std::string& file, const Descriptor& fd, std::span<unsigned char> into) {
  const auto size = ReadAll(fd.get(), into);
  return size ? Result<std::size_t>(*size)
              : Fail(Code::kPinUnreadable, file + " cannot be read: " + std::strerror(errno));
}

}  // namespace

Result<std::size_t> ReadPrivateFile(const std::string& name, const std::string& path, std::span<unsigned char> into) {
  const auto file = "the " + name + " " + path;
  const auto unreadable = [&](const std::string& why) {
    return Fail(Code::kPinUnreadable, file + " cannot be read: " + why);
  };
  if (const int handed_over = DescriptorOf(path); handed_over >= 0) {
    return Drain(file, Descriptor(handed_over), into);
  }
  // O_NONBLOCK: a FIFO at this path must not block the start.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) {
    return unreadable(std::strerror(errno));
  }
  const auto close_fd =
      std::unique_ptr<const int, void (*)(const int*)>(&fd, [](const int* open_fd) { close(*open_fd); });
  struct stat info{};
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    return unreadable("it is not a regular file");
  }
  if (info.st_uid != geteuid() && info.st_uid != 0) {
    return Fail(Code::kPinExposed, file + " belongs to another user: chown it to this one");
  }
  if (IsOpenToOthers(fd, info)) {
    return Fail(Code::kPinExposed, file + " is open to others: chmod 600 " + path);
  }
  const auto size = read(fd, into.data(), into.size());
  if (size < 0) {
    return unreadable(std::strerror(errno));
  }
  return static_cast<std::size_t>(size);
}

bool IsOpenToOthers(const std::string& path) {
  struct stat info{};
  return stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) && HasOpenMode(info) &&
         ((info.st_mode & S_IRWXO) != 0 || getxattr(path.c_str(), kAccessControlList, nullptr, 0) < 0);
}

}  // namespace assertion::p11
