"""Keeps connections to a port of 127.0.0.1 open, each of which misbehaves in the same way, and opens another for each
that is closed, up to 1,000 a second.

flood.py PORT KIND CONNECTIONS SOURCES [PATH]
  KIND         silent: says nothing; slow: an octet of a request a second; half: a part of a request, and that no more
               comes; header: a header of 1 MiB; pipeline: 1,000 requests at once; unread: asks for PATH and reads
               nothing; hello: begins a TLS handshake
  SOURCES      how many addresses they come from: 127.1.0.1, 127.1.0.2 ...; 0: 127.0.0.1, as everybody's
Prints how many connections were made once it has tried CONNECTIONS, and ends with its standard input.
"""
import errno
import resource
import select
import socket
import sys
import time

REOPENED = 1000
IP_BIND_ADDRESS_NO_PORT = 24
# RFC 8446 section 4.1.2: x25519, TLS_AES_128_GCM_SHA256, ecdsa_secp256r1_sha256 and rsa_pss_rsae_sha256, TLS 1.3.
EXTENSIONS = (bytes.fromhex('000a00040002001d000d0006000404030804002b0003020304003300260024001d0020') + b'\x09' * 32)
HELLO = (b'\x03\x03' + b'\x00' * 32 + b'\x00' + b'\x00\x02\x13\x01' + b'\x01\x00'
         + len(EXTENSIONS).to_bytes(2, 'big') + EXTENSIONS)
HANDSHAKE = b'\x01' + len(HELLO).to_bytes(3, 'big') + HELLO
RECORD = b'\x16\x03\x01' + len(HANDSHAKE).to_bytes(2, 'big') + HANDSHAKE


class Flood:
    """The connections, by descriptor: [socket, what it has still to say]."""

    def __init__(self, port, kind, count, sources, path):
        self.port, self.kind, self.count, self.sources = port, kind, count, sources
        request = f'GET {path} HTTP/1.1\r\nHost: x\r\n'.encode()
        self.said = memoryview({
            'silent': b'', 'slow': request + b'X: ' + b'y' * 3600, 'half': request,
            'header': request + b'X: ' + b'y' * (1 << 20) + b'\r\n\r\n', 'pipeline': (request + b'\r\n') * 1000,
            'unread': request + b'\r\n', 'hello': RECORD}[kind])
        # Without EPOLLIN of one that reads nothing: its end is told by EPOLLHUP alone.
        self.heard = 0 if kind == 'unread' else select.EPOLLIN
        self.poll = select.epoll()
        self.open = {}
        self.made = self.tried = 0

    def add(self):
        one = socket.socket()
        one.setblocking(False)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\x01\0\0\0\0\0\0\0')  # keeps no port in TIME_WAIT
        one.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        if self.kind == 'unread':
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        place = self.tried % max(self.sources, 1)
        self.tried += 1
        one.bind((f'127.1.{place // 250}.{place % 250 + 1}' if self.sources else '127.0.0.1', 0))
        if one.connect_ex(('127.0.0.1', self.port)) in (0, errno.EINPROGRESS):
            self.open[one.fileno()] = [one, None]
            self.poll.register(one, select.EPOLLOUT)
        else:
            one.close()

    def remove(self, fd):
        self.poll.unregister(fd)
        self.open.pop(fd)[0].close()

    def say(self, fd, one, said):
        if self.kind == 'slow':
            sent = one.send(said[:1])
            self.open[fd][1] = said[sent:]
            self.poll.modify(fd, self.heard)
            return
        while said:
            sent = one.send(said)
            said = self.open[fd][1] = said[sent:]
        if self.kind == 'half':
            one.shutdown(socket.SHUT_WR)
        self.poll.modify(fd, self.heard)

    def serve(self, fd, events):
        one, said = self.open[fd]
        try:
            if said is None:
                if one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    self.remove(fd)
                    return
                self.made += 1
                said = self.open[fd][1] = self.said
                self.poll.modify(fd, self.heard | select.EPOLLOUT)
            ended = events & select.EPOLLIN and not one.recv(65536) or events & (select.EPOLLHUP | select.EPOLLERR)
            if ended:
                self.remove(fd)
            elif events & select.EPOLLOUT:
                self.say(fd, one, said)
        except BlockingIOError:
            pass
        except OSError:
            self.remove(fd)

    def run(self):
        self.poll.register(sys.stdin, select.EPOLLIN)
        told = False
        budget, last, dripped = float(self.count), time.monotonic(), 0.0
        while True:
            now = time.monotonic()
            budget, last = min(budget + (now - last) * REOPENED, max(budget, REOPENED / 10)), now
            few = min(self.count - len(self.open), int(budget), 100)
            for _ in range(few):
                self.add()
            budget -= few
            if not told and self.tried >= self.count:
                told = True
                print(self.made, flush=True)
            if self.kind == 'slow' and now - dripped >= 1:
                dripped = now
                for fd, (_, said) in list(self.open.items()):
                    if said:
                        self.serve(fd, select.EPOLLOUT)
            for fd, events in self.poll.poll(0.01):
                if fd == sys.stdin.fileno():
                    return
                if fd in self.open:
                    self.serve(fd, events)


limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
Flood(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), (sys.argv[5:] or ['/healthz'])[0]).run()
