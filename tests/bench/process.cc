#include "bench/process.h"

#include <ctime>
#include <fstream>
#include <stdexcept>
#include <string>

namespace assertion::bench {

std::chrono::duration<double> CpuTime(pid_t process) {
  clockid_t clock{};
  timespec used{};
  if (clock_getcpuclockid(process, &clock) != 0 || clock_gettime(clock, &used) != 0) {
    throw std::runtime_error("clock_getcpuclockid: no process " + std::to_string(process));
  }
  return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

Memory MemoryOf(pid_t process) {
  std::ifstream status("/proc/" + std::to_string(process) + "/status");
  Memory memory;
  for (std::string word; status >> word;) {
    if (word == "VmRSS:") {
      status >> memory.resident;
    } else if (word == "VmHWM:") {
      status >> memory.peak;
    }
  }
  if (memory.peak == 0) {
    throw std::runtime_error("/proc tells no memory of process " + std::to_string(process));
  }
  return memory;
}

}  // namespace assertion::bench
