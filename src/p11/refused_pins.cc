#include "p11/refused_pins.h"

#include <fcntl.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "assertion/bytes.h"
#include "assertion/descriptor.h"

namespace assertion::p11 {
namespace {

// After this many different wrong PINs an operator must look.
constexpr std::size_t kMostRecords = 8;

// "SALT DIGEST", both hexadecimal; empty when it cannot be made.
std::string Record(const Pin& pin, const std::string& salt) {
  const auto digest = pin.Digest(AsBytes(salt));
  return digest.empty() ? std::string() : salt + " " + Hex(digest);
}

constexpr std::size_t kOctetsOfSalt = 16;
constexpr std::size_t kOctetsOfRecord = 98;  // as text, with its newline

// Overwrites the content in place, so that it needs no more disk space than the file already has.
Status WriteDurably(const std::string& path, const std::string& text) {
  const Descriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR));
  if (file.get() < 0 || !WriteAll(file, text) || ftruncate(file.get(), static_cast<off_t>(text.size())) != 0 ||
      fsync(file.get()) != 0) {
    const int error = errno;
    return Fail(Code::kConfigInvalid, "state_directory: cannot write " + path + ": " + std::strerror(error) +
                                          (error == ENOENT ? ": make the folder, with mode 0700, for the user that "
                                                             "runs assertiond"
                                                           : ""));
  }
  return {};
}

void SyncFolderOf(const std::string& path) {
  const Descriptor folder(open(path.substr(0, path.rfind('/') + 1).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() >= 0) {
    fsync(folder.get());
  }
}

}  // namespace

RefusedPins::RefusedPins(const std::string& state_directory, std::string_view token_serial)
    : path_(state_directory + "/pin-refused-" + Hex(AsBytes(token_serial))) {}

std::vector<std::string> RefusedPins::Lines() const {
  std::vector<std::string> lines;
  std::ifstream file(path_);
  for (std::string line; std::getline(file, line);) {
    lines.push_back(line);
  }
  return lines;
}

bool RefusedPins::Contain(const Pin& pin) const {
  const auto lines = Lines();
  if (lines.size() >= kMostRecords) {
    return true;
  }
  return std::ranges::any_of(lines, [&](const std::string& line) {
    const auto salt = line.substr(0, line.find(' '));
    const auto record = Record(pin, salt);
    return record.empty() || record == line;
  });
}

Status RefusedPins::Prepare() const {
  unlink(Prepared().c_str());
  auto prepared = WriteDurably(Prepared(), std::string((Lines().size() + 1) * kOctetsOfRecord, '-'));
  if (!prepared) {
    Discard();
  }
  return prepared;
}

Status RefusedPins::Add(const Pin& pin) const {
  std::array<std::uint8_t, kOctetsOfSalt> salt{};
  RAND_bytes(salt.data(), salt.size());
  std::string text;
  for (const auto& line : Lines()) {
    text += line + "\n";
  }
  auto written = WriteDurably(Prepared(), text + Record(pin, Hex(salt)) + "\n");
  if (written && rename(Prepared().c_str(), path_.c_str()) != 0) {
    return Fail(Code::kConfigInvalid, "state_directory: cannot write " + path_ + ": " + std::strerror(errno), "rename");
  }
  SyncFolderOf(path_);
  return written;
}

void RefusedPins::Discard() const { unlink(Prepared().c_str()); }

}  // namespace assertion::p11
