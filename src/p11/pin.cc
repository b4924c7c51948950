#include "p11/pin.h"

#include <openssl/evp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <cerrno>
#include <cstring>

#include "p11/private_file.h"

namespace assertion::p11 {
namespace {

// An editor's final newline is not part of the PIN.
std::size_t TrimmedSize(const unsigned char* octets, std::size_t size) {
  return size > 0 && octets[size - 1] == '\n' ? size - 1 : size;
}

}  // namespace

bool DenyInspection() {
  const rlimit none{.rlim_cur = 0, .rlim_max = 0};
  return setrlimit(RLIMIT_CORE, &none) == 0 && prctl(PR_SET_DUMPABLE, 0) == 0;
}

void Pin::Wipe::operator()(Buffer* buffer) const {
  explicit_bzero(buffer, sizeof *buffer);
  munlock(buffer, sizeof *buffer);
  delete buffer;
}

Result<Pin> Pin::ReadFile(const std::string& path) {
  if (!DenyInspection()) {
    return Fail(Code::kPinUnreadable, "the PIN file " + path + " is not read: this process cannot be shielded",
                std::string("setrlimit, prctl: ") + std::strerror(errno));
  }
  Pin pin;
  pin.buffer_.reset(new Buffer);
  mlock(pin.buffer_.get(), sizeof(Buffer));  // best effort: RLIMIT_MEMLOCK may be 0
  auto& octets = pin.buffer_->octets;
  ASSIGN_OR_RETURN(const auto size, ReadPrivateFile("PIN file", path, octets));
  pin.buffer_->size = TrimmedSize(octets.data(), size);
  if (pin.buffer_->size == 0 || pin.buffer_->size > kMaxSize ||
      std::memchr(octets.data(), '\n', pin.buffer_->size) != nullptr) {
    return Fail(Code::kPinUnreadable,
                "the PIN file " + path + " cannot be read: it must hold one line of 1 to 255 octets");
  }
  return pin;
}

Bytes Pin::Digest(BytesView salt) const {
  constexpr std::uint64_t kCost = 1U << 15U;  // about 0.1 s, 32 MiB
  constexpr std::uint64_t kBlock = 8;
  constexpr std::uint64_t kMostMemory = std::uint64_t{64} << 20U;
  Bytes digest(32);
  const auto* text = reinterpret_cast<const char*>(buffer_->octets.data());
  const bool made = EVP_PBE_scrypt(text, buffer_->size, salt.data(), salt.size(), kCost, kBlock, 1, kMostMemory,
                                   digest.data(), digest.size()) == 1;
  return made ? digest : Bytes();
}

}  // namespace assertion::p11
