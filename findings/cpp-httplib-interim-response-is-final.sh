#!/usr/bin/env bash
# cpp-httplib 0.11.4: the client takes an interim answer (HTTP 103, 102) for the final one.
#
# Surprise:  a server answers 103 Early Hints and then 200 with a body. The client returns status 103, and a body that is
#            the status line, header and body of the 200. An interim 100 is passed over as it should be.
# Document:  RFC 9110, section 15.2: "A client MUST be able to parse one or more 1xx responses received prior to a final
#            response, even if the client does not expect one." cpp-httplib's README does not mention interim answers.
# Matters:   a proxy that sends early hints (RFC 8297) makes each request fail, with a status that no server sent as its
#            answer. A response handler that returns false for a status below 200 tells the case apart.
# Version:   cpp-httplib 0.11.4 (Debian libcpp-httplib0.11 0.11.4+ds-1+deb12u1). Seen 2026-11-29.
# Needs:     apt-get (with current package lists), dpkg, g++ with C++17, the libraries of OpenSSL 3, zlib and brotli.
#            No root. It listens on 127.0.0.1.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

version=0.11.4+ds-1+deb12u1
apt-get download libcpp-httplib0.11=$version libcpp-httplib-dev=$version libssl-dev >apt.log 2>&1 ||
  { cat apt.log >&2; exit 2; }
for deb in *.deb; do dpkg -x "$deb" root; done
libraries=$tmp/root/usr/lib/$(g++ -print-multiarch)

cat >interim.cc <<'CC'
#include <arpa/inet.h>
#include <httplib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <thread>

// The status and the first line of the body that a client gets from a server that sends this.
static std::string Got(const std::string& sent) {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  bind(listener, reinterpret_cast<sockaddr*>(&address), size);
  listen(listener, 1);
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  std::thread server([&] {
    const int client = accept(listener, nullptr, nullptr);
    std::string request;
    for (char octet; request.find("\r\n\r\n") == std::string::npos && read(client, &octet, 1) == 1;) request += octet;
    if (write(client, sent.data(), sent.size()) < 0) std::perror("write");
    close(client);
  });
  httplib::Client client("127.0.0.1", ntohs(address.sin_port));
  const auto answer = client.Get("/");
  server.join();
  close(listener);
  return answer ? std::to_string(answer->status) + " " + answer->body.substr(0, answer->body.find('\r'))
                : httplib::to_string(answer.error());
}

int main() {
  const std::string final = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody";
  std::printf("100 then 200: %s\n", Got("HTTP/1.1 100 Continue\r\n\r\n" + final).c_str());
  std::printf("102 then 200: %s\n", Got("HTTP/1.1 102 Processing\r\n\r\n" + final).c_str());
  std::printf("103 then 200: %s\n", Got("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + final).c_str());
}
CC
g++ -std=c++17 -pthread -DCPPHTTPLIB_OPENSSL_SUPPORT -DCPPHTTPLIB_ZLIB_SUPPORT -DCPPHTTPLIB_BROTLI_SUPPORT \
  -isystem root/usr/include -isystem "root/usr/include/$(g++ -print-multiarch)" interim.cc \
  -o interim -L"$libraries" -Wl,-rpath,"$libraries" -lcpp-httplib >compile.log 2>&1 || { cat compile.log >&2; exit 2; }

cat >stated <<'S'
100 then 200: 200 body
102 then 200: 102 HTTP/1.1 200 OK
103 then 200: 103 HTTP/1.1 200 OK
S
echo "cpp-httplib 0.11.4, the client:"
echo "expected: 200 body, three times"
echo "seen:"
./interim >seen || { cat seen; exit 2; }
sed 's/^/  /' seen
cmp -s seen stated || { echo "CHANGED: it used to be"; sed 's/^/  /' stated; exit 1; }
echo "As stated: an interim answer other than 100 is taken for the final one."
