#!/usr/bin/env bash
# cpp-httplib 0.11.4 as a shared library: OpenSSL's CRYPTO_set_mem_functions fails from main on.
#
# Surprise:  a program that is linked with Debian's libcpp-httplib cannot give OpenSSL its own memory functions, as one does
#            to wipe what it frees: the call fails at the first line of main, and in constructors of the program. The same
#            program without the library succeeds. It need not use the library.
# Document:  CRYPTO_set_mem_functions(3) says that the functions must be set before the first allocation, which main would
#            be. cpp-httplib's README does not say that its library calls OpenSSL when it is loaded.
# Matters:   a constructor of the library runs OPENSSL_init_ssl, which allocates. What is left is .preinit_array, which runs
#            before the constructors of all shared libraries. A program that does not look at the result wipes nothing.
# Version:   cpp-httplib 0.11.4 (Debian libcpp-httplib0.11 0.11.4+ds-1+deb12u1), OpenSSL 3.0. Seen 2026-11-30.
# Needs:     apt-get (with current package lists), dpkg, g++, the libraries of OpenSSL 3, zlib and brotli. No root.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

version=0.11.4+ds-1+deb12u1
apt-get download libcpp-httplib0.11=$version libcpp-httplib-dev=$version libssl-dev >apt.log 2>&1 ||
  { cat apt.log >&2; exit 2; }
for deb in *.deb; do dpkg -x "$deb" root; done
libraries=$tmp/root/usr/lib/$(g++ -print-multiarch)

cat >memory.cc <<'CC'
#include <openssl/crypto.h>

#include <cstdio>
#include <cstdlib>

static void* Allocate(std::size_t size, const char*, int) { return std::malloc(size); }
static void* Reallocate(void* memory, std::size_t size, const char*, int) { return std::realloc(memory, size); }
static void Free(void* memory, const char*, int) { std::free(memory); }

#ifdef BEFORE_LIBRARIES
static int result;
static void Set(int, char**, char**) { result = CRYPTO_set_mem_functions(Allocate, Reallocate, Free); }
__attribute__((section(".preinit_array"), used)) static void (*const set)(int, char**, char**) = Set;
#elif defined(IN_A_CONSTRUCTOR)
static const int result = CRYPTO_set_mem_functions(Allocate, Reallocate, Free);
#endif

int main() {
#if !defined(BEFORE_LIBRARIES) && !defined(IN_A_CONSTRUCTOR)
  const int result = CRYPTO_set_mem_functions(Allocate, Reallocate, Free);
#endif
  std::printf("%d\n", result);
}
CC
# took NAME OPTION…: what the call returned
took() {
  local name=$1
  shift
  g++ -I root/usr/include -I "root/usr/include/$(g++ -print-multiarch)" memory.cc -o "$name" "$@"
  LD_LIBRARY_PATH=$libraries "./$name"
}
with=(-Wl,--no-as-needed -L "$libraries" -l:libcpp-httplib.so.0.11 -lssl -lcrypto)
{
  echo "main, without the library: $(took without -Wl,--no-as-needed -lssl -lcrypto)"
  echo "main, with it: $(took main "${with[@]}")"
  echo "a constructor of the program, with it: $(took constructor -D IN_A_CONSTRUCTOR "${with[@]}")"
  echo ".preinit_array, with it: $(took preinit -D BEFORE_LIBRARIES "${with[@]}")"
} | tee output
diff output - <<'EXPECTED'
main, without the library: 1
main, with it: 0
a constructor of the program, with it: 0
.preinit_array, with it: 1
EXPECTED
