// Whatever an audit log holds: it is checked without harm, and what holds is a chain that Chain itself makes.

#include <cstdlib>
#include <sstream>
#include <string>

#include "audit/verification.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto half = text.find('\0');
  std::istringstream first(text.substr(0, half));
  std::istringstream second(half == std::string::npos ? "" : text.substr(half + 1));
  const auto found = assertion::audit::Verify({{"a", &first}, {"b", &second}}, {}, {.first = 0, .last = 0});
  if (!found.fault && found.last < found.first) {
    std::abort();
  }
  return 0;
}
