// Replaces operator delete in assertiond: all memory of C++ is wiped when it is freed. Access tokens, assertions and
// PINs pass through buffers of libraries that do not wipe: httplib's, the JSON parser's, Protobuf's, strings that grow.

#include <malloc.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>

namespace {

void WipeAndFree(void* memory) noexcept {
  if (memory != nullptr) {
    explicit_bzero(memory, malloc_usable_size(memory));
    std::free(memory);
  }
}

}  // namespace

// The forms for arrays call these.
void operator delete(void* memory) noexcept { WipeAndFree(memory); }
void operator delete(void* memory, std::size_t /*size*/) noexcept { WipeAndFree(memory); }
void operator delete(void* memory, std::align_val_t /*alignment*/) noexcept { WipeAndFree(memory); }
void operator delete(void* memory, std::size_t /*size*/, std::align_val_t /*alignment*/) noexcept {
  WipeAndFree(memory);
}
