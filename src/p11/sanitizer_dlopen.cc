// Only in sanitizer builds: see src/CMakeLists.txt.

#include <dlfcn.h>

extern "C" void* dlopen(const char* path, int flags) {
  using Dlopen = void* (*)(const char*, int);
  static const auto next = reinterpret_cast<Dlopen>(dlsym(RTLD_NEXT, "dlopen"));
  return next(path, flags & ~RTLD_DEEPBIND);
}
