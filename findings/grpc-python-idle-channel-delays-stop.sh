#!/usr/bin/env bash
# gRPC 1.51: a graceful stop waits for the connections of Python clients that have no call, for seconds.
#
# Surprise:  stop(30) of a server without any running call returns after about 5 s while a Python client keeps a channel
#            on which it has called before. Without the client it returns at once. The server sends GOAWAY with a ping and
#            waits for the answer; the client reads its connection only while it calls.
# Document:  grpc.Server.stop: it "returns immediately", and the event is set when all handlers have terminated. The C++
#            Server::Shutdown(deadline) waits for pending calls. Neither tells of connections without one.
# Matters:   a service is stopped or updated: the wait counts against its stop limit, and no caller gains by it. A server
#            with connections of its own (an external acceptor) can end those without a call itself.
# Version:   python3-grpcio 1.51.1-3+b1 (Debian 12). Seen 2026-11-30: 0.1 s without the client, 5.3 s with it.
# Needs:     apt-get (with current package lists), dpkg, python3. No root.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

apt-get download python3-grpcio=1.51.1-3+b1 libabsl20220623=20220623.1-1+deb12u2 libre2-9=20220601+dfsg-1+b1 libc-ares2 \
  >apt.log 2>&1 || { cat apt.log >&2; exit 2; }
for deb in *.deb; do dpkg -x "$deb" root; done
export PYTHONPATH=$tmp/root/usr/lib/python3/dist-packages
LD_LIBRARY_PATH=$(dirname "$(find root -name 'libre2.so.9')")
export LD_LIBRARY_PATH=$tmp/$LD_LIBRARY_PATH

cat >stop.py <<'PY'
import subprocess
import sys
import time
from concurrent import futures

import grpc

CLIENT = """
import sys, grpc
channel = grpc.insecure_channel(sys.argv[1])
channel.unary_unary('/test/Call')(b'')
print('called', flush=True)
sys.stdin.read()
"""


class Handler(grpc.GenericRpcHandler):
    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(lambda request, context: b"")


def seconds_to_stop(with_client):
    server = grpc.server(futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((Handler(),))
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    client = None
    if with_client:
        client = subprocess.Popen([sys.executable, "-c", CLIENT, address], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert client.stdout.readline() == b"called\n"
    began = time.monotonic()
    server.stop(30).wait()
    took = time.monotonic() - began
    if client:
        client.communicate()
    return took


print(f"{seconds_to_stop(False):.1f} {seconds_to_stop(True):.1f}")
PY
read -r alone with_client <<<"$(/usr/bin/python3 stop.py)"
echo "expected: a stop without running calls is as quick with an idle client as without"
echo "seen:     $alone s without a client, $with_client s with one"
if /usr/bin/python3 -c "import sys; sys.exit(not ($alone < 2 < $with_client))"; then
  echo "as stated"
else
  echo "changed"
  exit 1
fi
