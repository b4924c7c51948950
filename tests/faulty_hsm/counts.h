#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <string_view>

namespace faulty_hsm {

// The file of FAULTY_HSM_COUNTS. Belongs to one thread at a time.
class Counts {
 public:
  Counts() {
    const char* path = std::getenv("FAULTY_HSM_COUNTS");
    const int fd = path == nullptr ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, kMost * sizeof(Record)) != 0) {
      return;
    }
    void* mapped = mmap(nullptr, kMost * sizeof(Record), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    records_ = mapped == MAP_FAILED ? nullptr : static_cast<Record*>(mapped);
  }

  void Add(std::string_view function, bool fault) {
    if (Record* const record = Find(function)) {
      std::atomic_ref(record->calls) += 1;
      std::atomic_ref(record->faults) += fault ? 1 : 0;
    }
  }

  void SetSessions(long count) {
    if (Record* const record = Find("sessions")) {
      std::atomic_ref(record->calls) = static_cast<std::uint64_t>(count);
    }
  }

 private:
  struct Record {
    std::array<char, 48> name;
    std::uint64_t calls;
    std::uint64_t faults;
  };
  static constexpr std::size_t kMost = 64;

  Record* Find(std::string_view name) {
    Record* const end = records_ + (records_ == nullptr ? 0 : kMost);
    Record* const record = std::find_if(
        records_, end, [&](const Record& other) { return other.name.front() == '\0' || name == other.name.data(); });
    if (record == end) {
      return nullptr;
    }
    name.copy(record->name.data(), record->name.size() - 1);
    return record;
  }

  Record* records_ = nullptr;
};

}  // namespace faulty_hsm
