#!/usr/bin/env bash
# rhonabwy 1.1.11 refuses a JWK Set that is served with the media type registered for JWK Sets.
#
# Surprise:  r_jwks_import_from_uri imports a JWK Set that a server labels application/json. It returns RHN_ERROR
#            and imports nothing when the same octets are labelled application/jwk-set+json. The reason is not reported.
# Document:  RFC 7517, section 8.5.2, registers application/jwk-set+json for a JWK Set. rhonabwy's API documentation of
#            r_jwks_import_from_uri does not ask for a media type.
# Matters:   a server that is configured with a jwks_uri and uses rhonabwy (Glewlwyd is one) does not see the client's
#            keys and cannot check its assertions. Serve a JWK Set as application/json.
# Version:   rhonabwy 1.1.11 (Debian librhonabwy1.1 1.1.11-1). Seen 2026-11-27.
# Needs:     apt-get (with current package lists), dpkg, openssl, python3. No root. It listens on 127.0.0.1.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

apt-get download librhonabwy1.1=1.1.11-1 libyder2.0=1.4.19-1 liborcania2.3=2.3.2-1 >apt.log 2>&1 ||
  { cat apt.log >&2; exit 2; }
for deb in *.deb; do dpkg -x "$deb" root; done
openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 | openssl pkey -pubout -outform DER -out public.der
library=$(echo root/usr/lib/*/librhonabwy.so.1.1)

cat >serve_and_import.py <<'PY'
import base64
import ctypes
import http.server
import json
import sys
import threading

def base64url(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


point = open("public.der", "rb").read()[-64:]
jwk = {"kty": "EC", "crv": "P-256", "x": base64url(point[:32]), "y": base64url(point[32:]), "use": "sig", "kid": "1"}
JWK_SET = json.dumps({"keys": [jwk]}).encode()


class Keys(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", self.path[1:])
        self.send_header("Content-Length", str(len(JWK_SET)))
        self.end_headers()
        self.wfile.write(JWK_SET)

    def log_message(self, *args):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Keys)
threading.Thread(target=server.serve_forever, daemon=True).start()

rhonabwy = ctypes.CDLL(sys.argv[1])
rhonabwy.r_jwks_size.restype = ctypes.c_size_t
rhonabwy.r_global_init()
for media_type in ("application/json", "application/jwk-set+json"):
    jwks = ctypes.c_void_p()
    rhonabwy.r_jwks_init(ctypes.byref(jwks))
    uri = f"http://127.0.0.1:{server.server_port}/{media_type}".encode()
    result = rhonabwy.r_jwks_import_from_uri(jwks, uri, 0)
    name = {0: "RHN_OK", 1: "RHN_ERROR"}.get(result, str(result))
    print(f"{media_type}: {name}, keys: {rhonabwy.r_jwks_size(jwks)}")
PY

cat >stated <<'S'
application/json: RHN_OK, keys: 1
application/jwk-set+json: RHN_ERROR, keys: 0
S
echo "rhonabwy 1.1.11, r_jwks_import_from_uri:"
echo "expected: RHN_OK, keys: 1 for both media types"
echo "seen:"
LD_LIBRARY_PATH=$(dirname "$library") python3 serve_and_import.py "$library" >seen || { cat seen; exit 2; }
sed 's/^/  /' seen
cmp -s seen stated || { echo "CHANGED: it used to be"; sed 's/^/  /' stated; exit 1; }
echo "As stated: application/jwk-set+json is refused."
