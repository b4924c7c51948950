// All memory of C++ and of OpenSSL is wiped when assertiond frees it. Access tokens, assertions and PINs pass through
// buffers of libraries that do not wipe: httplib's, the JSON parser's, Protobuf's, strings that grow. OpenSSL decodes
// private keys in such buffers, for modules that run in this process (SoftHSM2) too.

#include <malloc.h>
#include <openssl/crypto.h>

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

void* Allocate(std::size_t size, const char* /*file*/, int /*line*/) { return std::malloc(size); }

void Free(void* memory, const char* /*file*/, int /*line*/) { WipeAndFree(memory); }

// realloc would free what it has copied, unwiped.
void* Reallocate(void* memory, std::size_t size, const char* /*file*/, int /*line*/) {
  if (memory == nullptr) {
    return std::malloc(size);
  }
  if (size == 0) {
    WipeAndFree(memory);
    return nullptr;
  }
  const auto had = malloc_usable_size(memory);
  if (size <= had) {
    return memory;
  }
  void* const larger = std::malloc(size);
  if (larger != nullptr) {
    std::memcpy(larger, memory, had);
    WipeAndFree(memory);
  }
  return larger;
}

// OpenSSL takes other functions only before it allocates for the first time, which constructors of shared libraries
// make it do: this runs before them.
void HaveOpensslWipe(int /*count*/, char** /*arguments*/, char** /*environment*/) {
  if (CRYPTO_set_mem_functions(Allocate, Reallocate, Free) == 0) {
    std::abort();
  }
}

[[gnu::section(".preinit_array"), gnu::used]] void (*const before_libraries)(int, char**, char**) = HaveOpensslWipe;

}  // namespace

// The forms for arrays call these.
void operator delete(void* memory) noexcept { WipeAndFree(memory); }
void operator delete(void* memory, std::size_t /*size*/) noexcept { WipeAndFree(memory); }
void operator delete(void* memory, std::align_val_t /*alignment*/) noexcept { WipeAndFree(memory); }
void operator delete(void* memory, std::size_t /*size*/, std::align_val_t /*alignment*/) noexcept {
  WipeAndFree(memory);
}
