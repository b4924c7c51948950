#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>

namespace assertion::bench {

// Processor time that a process has used so far, all its threads together. Throws when there is no such process.
std::chrono::duration<double> CpuTime(pid_t process);

// What a process holds of the machine's memory, in KiB (proc(5): VmRSS; VmHWM is the most that it ever was).
struct Memory {
  std::size_t resident = 0;
  std::size_t peak = 0;
};
Memory MemoryOf(pid_t process);

}  // namespace assertion::bench
