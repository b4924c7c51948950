#!/usr/bin/env bash
# Debian's abseil 20220623: every lock of an absl::Mutex is entered into a graph of the whole process, in release builds too.
#
# Surprise:  the library is built without NDEBUG, so the detector of lock cycles is on (mode kAbort) in every program that
#            links it, however the program itself is compiled. gRPC's locks are absl::Mutex: a second lock held by a
#            thread costs look-ups in one graph under one spin lock.
# Document:  absl/synchronization/mutex.h says that detection works "in debug builds", and NDEBUG of the program is what
#            one takes that for. Neither Debian's package nor gRPC's performance guide mentions it.
# Matters:   4 % of the processor time of a busy gRPC server here. absl::SetMutexDeadlockDetectionMode(kIgnore), called
#            before the server starts, turns it off.
# Version:   abseil 20220623.1-1+deb12u2 (Debian 12). Seen 2026-11-29.
# Needs:     apt-get (with current package lists), dpkg, g++ with C++17. No root.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

version=20220623.1-1+deb12u2
apt-get download libabsl20220623=$version libabsl-dev=$version >apt.log 2>&1 || { cat apt.log >&2; exit 2; }
for deb in *.deb; do dpkg -x "$deb" root; done
libraries=$tmp/root/usr/lib/$(g++ -print-multiarch)

cat >locks.cc <<'CC'
#include <absl/synchronization/mutex.h>
#include <dlfcn.h>

#include <cstdint>
#include <cstdio>

static int looked_up = 0;

// absl::…::GraphCycles::GetId(void*): the library finds this definition first. It counts and passes the call on.
extern "C" std::uint64_t _ZN4absl7debian324synchronization_internal11GraphCycles5GetIdEPv(void* graph, void* mutex) {
  using Call = std::uint64_t (*)(void*, void*);
  static const auto real = reinterpret_cast<Call>(
      dlsym(RTLD_NEXT, "_ZN4absl7debian324synchronization_internal11GraphCycles5GetIdEPv"));
  ++looked_up;
  return real(graph, mutex);
}

static int LookUpsOfThousandLocks() {
  static absl::Mutex outer;
  static absl::Mutex inner;
  looked_up = 0;
  for (int i = 0; i < 1000; ++i) {
    absl::MutexLock one(&outer);
    absl::MutexLock other(&inner);
  }
  return looked_up;
}

int main() {
  const int before = LookUpsOfThousandLocks();
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  const int after = LookUpsOfThousandLocks();
  std::printf("%d %d\n", before, after);
}
CC
g++ -std=c++17 -O2 -DNDEBUG -rdynamic -isystem root/usr/include locks.cc -o locks -L"$libraries" \
  -Wl,-rpath,"$libraries" -Wl,-rpath-link,"$libraries" -labsl_synchronization -ldl >compile.log 2>&1 ||
  { cat compile.log >&2; exit 2; }

echo 'expected: a program compiled with NDEBUG looks no lock up in the graph: 0 0'
seen=$(./locks)
echo "seen:     look-ups of 1,000 nested locks, by default and with kIgnore: $seen"
read -r before after <<<"$seen"
[ "$before" -ge 1000 ] && [ "$after" = 0 ]
