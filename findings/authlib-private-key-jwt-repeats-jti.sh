#!/usr/bin/env bash
# Authlib 1.2.0 signs all client assertions with one jti once claims of the caller's are given.
#
# Surprise:  PrivateKeyJWT writes the jti that it makes for the first assertion into the dict given as `claims`, and
#            finds it there for each one that follows: every assertion of the process has the same jti. Without `claims`
#            each has its own.
# Document:  Authlib's documentation of PrivateKeyJWT: claims are extra claims; it says nothing of jti. OpenID Connect
#            Core 1.0, section 9: jti is a unique identifier, which the server can use to refuse an assertion seen
#            before.
# Matters:   the first token request succeeds, each later one fails on a server that remembers jti, until the program is
#            started again; and an audit log by jti takes all requests for one. Make a PrivateKeyJWT with a new dict for
#            each request.
# Version:   Authlib 1.2.0 (Debian python3-authlib 1.2.0-1+deb12u2), the system's python3-cryptography. Seen 2026-11-30.
# Needs:     apt-get (with current package lists), dpkg, openssl, python3 with python3-cryptography. No root, no network
#            but Debian's packages.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

apt-get download python3-authlib=1.2.0-1+deb12u2 >apt.log 2>&1 || { cat apt.log >&2; exit 2; }
for deb in *.deb; do dpkg -x "$deb" root; done
openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem

cat >sign.py <<'PY'
import base64
import json
import urllib.parse

from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc7523 import PrivateKeyJWT

TOKEN_ENDPOINT = "https://as.example/token"


def jti(client):
    _, _, body = client.prepare("POST", TOKEN_ENDPOINT, {}, "grant_type=client_credentials")
    payload = urllib.parse.parse_qs(body)["client_assertion"][0].split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=="))["jti"]


with open("key.pem") as file:
    key = file.read()
for what, claims in ("without claims", None), ("with an aud in claims", {"aud": "https://as.example"}):
    client = ClientAuth("client", key, PrivateKeyJWT(TOKEN_ENDPOINT, claims=claims))
    seen = [jti(client) for _ in range(5)]
    print(f"{what}: assertions: {len(seen)}, different jti: {len(set(seen))}")
PY

cat >stated <<'S'
without claims: assertions: 5, different jti: 5
with an aud in claims: assertions: 5, different jti: 1
S
echo "Authlib 1.2.0, PrivateKeyJWT:"
echo "expected: five assertions have five jti, with claims or without"
echo "seen:"
PYTHONPATH=$tmp/root/usr/lib/python3/dist-packages /usr/bin/python3 sign.py >seen || { cat seen; exit 2; }
sed 's/^/  /' seen
cmp -s seen stated || { echo "CHANGED: it used to be"; sed 's/^/  /' stated; exit 1; }
echo "As stated: with claims the first jti is repeated."
