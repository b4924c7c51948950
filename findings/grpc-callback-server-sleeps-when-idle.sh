#!/usr/bin/env bash
# gRPC C++ 1.51: the threads of a callback server sleep for 100 ms after each second without an event.
#
# Surprise:  a thread that has waited for one second in vain does not wait again: it sleeps for 100 ms and looks at no
#            socket. The threads start together, so they sleep together. Whatever arrives then, on a loopback
#            connection too, waits for the end of the sleep. A server with its own completion queue never sleeps.
# Document:  gRPC's guide "Performance Best Practices", section C++, prefers the callback API to the others and does not
#            mention a pause. The reference of CallbackGenericService does not either.
# Matters:   on a server with few calls up to one call in eleven gets up to 100 ms of latency that no handler shows: health
#            checks, the first call after a pause, the p99. Events less than a second apart (a heartbeat to itself) keep
#            the threads awake.
# Version:   gRPC 1.51.1 (Debian libgrpc++1.51 1.51.1-3+b1), epoll. Seen 2026-11-27.
# Needs:     apt-get (with current package lists), dpkg, g++ with C++17, the libraries of OpenSSL 3 and zlib. No root.
#            It listens on 127.0.0.1.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

abseil=20220623.1-1+deb12u2
apt-get download libgrpc++1.51=1.51.1-3+b1 libgrpc29=1.51.1-3+b1 libgrpc++-dev=1.51.1-3+b1 libgrpc-dev=1.51.1-3+b1 \
  libabsl20220623=$abseil libabsl-dev=$abseil libprotobuf32=3.21.12-3+deb12u1 libprotobuf-dev=3.21.12-3+deb12u1 \
  libre2-9=20220601+dfsg-1+b1 libc-ares2=1.18.1-3 >apt.log 2>&1 || { cat apt.log >&2; exit 2; }
for deb in *.deb; do dpkg -x "$deb" root; done
libraries=$tmp/root/usr/lib/$(g++ -print-multiarch)

cat >idle.cc <<'CC'
#include <arpa/inet.h>
#include <dlfcn.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <thread>

using Clock = std::chrono::steady_clock;
static std::atomic<int> sleeps{0};

// gRPC's libraries find this definition first: it counts their long sleeps and passes them on.
extern "C" int nanosleep(const timespec* wanted, timespec* left) {
  static const auto real = reinterpret_cast<int (*)(const timespec*, timespec*)>(dlsym(RTLD_NEXT, "nanosleep"));
  if (wanted->tv_sec == 0 && wanted->tv_nsec > 50'000'000) ++sleeps;
  return real(wanted, left);
}

// Milliseconds from connecting until the server's first octet (its HTTP/2 SETTINGS), or -1.
static long FirstOctet(int port) {
  const auto start = Clock::now();
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const timeval limit{5, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  char octet;
  const bool answered = connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 && read(fd, &octet, 1) == 1;
  close(fd);
  return answered ? std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start).count() : -1;
}

int main(int argc, char** argv) {
  const bool callback = argc == 2 && std::strcmp(argv[1], "callback") == 0;
  grpc::CallbackGenericService callback_service;
  grpc::AsyncGenericService queue_service;
  std::unique_ptr<grpc::ServerCompletionQueue> queue;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  if (callback) {
    builder.RegisterCallbackGenericService(&callback_service);
  } else {
    builder.RegisterAsyncGenericService(&queue_service);
    queue = builder.AddCompletionQueue();
  }
  const auto server = builder.BuildAndStart();
  if (!server) return 2;
  std::thread poller([&] {
    void* tag;
    bool ok;
    while (queue && queue->Next(&tag, &ok)) {
    }
  });

  // Connect 20 ms after a sleep has begun; if there is none, after two idle seconds.
  const auto deadline = Clock::now() + std::chrono::seconds(2);
  while (sleeps == 0 && Clock::now() < deadline) usleep(1000);
  usleep(20'000);
  const long after_pause = FirstOctet(port);
  const long at_once = FirstOctet(port);
  const int before = sleeps;
  std::this_thread::sleep_for(std::chrono::seconds(4));
  std::printf("%d %ld %ld\n", sleeps - before, after_pause, at_once);

  server->Shutdown();
  if (queue) queue->Shutdown();
  poller.join();
}
CC
g++ -std=c++17 -rdynamic -pthread -I root/usr/include idle.cc -o idle -L "$libraries" -Wl,-rpath-link,"$libraries" \
  -Wl,--copy-dt-needed-entries -lgrpc++ -lgrpc -lgpr -ldl
export LD_LIBRARY_PATH=$libraries

changed=0
run() { # run KIND
  read -r sleeps pause at_once < <(./idle "$1") || { echo "the server did not run" >&2; exit 2; }
  printf '  %-17s sleeps in 4 idle seconds: %s; first octet after a pause: %s ms, just after that: %s ms\n' \
    "$1:" "$sleeps" "$pause" "$at_once"
}
echo "gRPC C++ 1.51.1, an idle server on loopback:"
echo "expected: no sleeps, and an answer after a pause as fast as any other"
echo "seen:"
run completion-queue
[ "$sleeps" -eq 0 ] || changed=1
run callback
[ "$sleeps" -ge 2 ] && [ "$pause" -ge 40 ] || changed=1
[ "$changed" = 0 ] || { echo "CHANGED: the callback server used to sleep for 100 ms in every idle second"; exit 1; }
echo "As stated: the callback server sleeps, and a connection that arrives meanwhile waits."
