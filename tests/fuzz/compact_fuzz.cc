// Whatever a JWT holds: what is taken apart is put together again to the same octets.

#include <cstdlib>
#include <string_view>

#include "jws/compact.h"
#include "jws/jwk.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto parsed = assertion::jws::ParseCompact(text);
  if (parsed && assertion::jws::Compact(parsed->signing_input, parsed->signature) != text) {
    std::abort();
  }
  if (parsed) {
    static_cast<void>(assertion::jws::ParseJwk(parsed->claims));
  }
  return 0;
}
