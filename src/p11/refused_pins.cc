#include "p11/refused_pins.h"

#include <fcntl.h>
#include <openssl/rand.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "assertion/bytes.h"

namespace assertion::p11 {
namespace {

// A loop that goes through this many wrong PINs needs a person.
constexpr std::size_t kMostRecords = 8;

// "SALT DIGEST", both hexadecimal; empty when it cannot be made.
std::string Record(const Pin& pin, const std::string& salt) {
  const auto digest = pin.Digest(AsBytes(salt));
  return digest.empty() ? std::string() : salt + " " + Hex(digest);
}

Status WriteDurably(const std::string& path, const std::string& text) {
  const auto fail = [&](const char* call) {
    return Fail(Code::kConfigInvalid, "state_directory: cannot write " + path + ": " + std::strerror(errno), call);
  };
  auto temporary = path + ".XXXXXX";
  const int fd = mkostemp(temporary.data(), O_CLOEXEC);
  if (fd < 0) {
    return fail("mkostemp");
  }
  const bool written = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && fsync(fd) == 0;
  if (close(fd) != 0 || !written || rename(temporary.c_str(), path.c_str()) != 0) {
    const auto failed = fail("write");
    unlink(temporary.c_str());
    return failed;
  }
  const int folder = open(path.substr(0, path.rfind('/') + 1).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder >= 0) {
    fsync(folder);
    close(folder);
  }
  return {};
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
  const auto trial = path_ + ".try";
  const auto written = WriteDurably(trial, "");
  unlink(trial.c_str());
  return written;
}

Status RefusedPins::Add(const Pin& pin) const {
  std::array<std::uint8_t, 16> salt{};
  RAND_bytes(salt.data(), salt.size());
  std::string text;
  for (const auto& line : Lines()) {
    text += line + "\n";
  }
  return WriteDurably(path_, text + Record(pin, Hex(salt)) + "\n");
}

}  // namespace assertion::p11
