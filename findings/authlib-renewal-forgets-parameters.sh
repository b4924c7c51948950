#!/usr/bin/env bash
# Authlib 1.2.0 renews a client_credentials token without the parameters that the first one was bought with.
#
# Surprise:  fetch_token(scope=..., resource=...) of an OAuth2Session buys a token for one scope and one API. When it
#            has expired, the session buys the next one by itself and sends neither: the grant_type and the client's
#            authentication are the whole request, and the server gives what it gives by default.
# Document:  Authlib's page on OAuth2Session says that further arguments of fetch_token go into the request, and that
#            with grant_type="client_credentials" an expired token is fetched again. It does not say that this request
#            is another one. (Seen by others for the registry of the web frameworks: issue 783 of authlib/authlib.)
# Matters:   the program works for the first token's life. Then its API refuses the token for its audience or scope, or
#            the server refuses the request, and a new start heals it for as long again. Give scope to OAuth2Session
#            itself, which is kept; for resource or audience make a session, or call fetch_token, for each token.
# Version:   Authlib 1.2.0 (Debian python3-authlib 1.2.0-1+deb12u2), python3-requests 2.28.1+dfsg-1, the system's
#            python3-cryptography. Seen 2026-11-30.
# Needs:     apt-get (with current package lists), dpkg, openssl, python3 with python3-cryptography. No root, no network
#            but Debian's packages; the answers come from memory.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

apt-get download python3-authlib=1.2.0-1+deb12u2 python3-requests=2.28.1+dfsg-1 python3-urllib3 python3-certifi \
  python3-chardet python3-idna >apt.log 2>&1 || { cat apt.log >&2; exit 2; }
for deb in *.deb; do dpkg -x "$deb" root; done
openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem

cat >renew.py <<'PY'
import json
import time
import urllib.parse

import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from requests.adapters import BaseAdapter

TOKEN_ENDPOINT = "https://as.example/token"


class Server(BaseAdapter):
    """Answers token requests, and shows what each asked for besides the client's authentication."""

    def send(self, request, **_):
        response = requests.Response()
        response.status_code = 200
        response.request = request
        body = {}
        if request.url == TOKEN_ENDPOINT:
            sent = urllib.parse.parse_qs(request.body)
            asked = {name: sent[name][0] for name in sorted(sent) if not name.startswith("client_")}
            line = " ".join(f"{name}={value}" for name, value in asked.items())
            print(f"  token request: {line} (authenticated: {'client_assertion' in sent})")
            body = {"access_token": "x", "token_type": "Bearer", "expires_in": 60}
        response._content = json.dumps(body).encode()
        return response

    def close(self):
        pass


with open("key.pem") as file:
    key = file.read()
now = time.time
for what, session_has, call_has in (
    ("all in fetch_token", {}, {"scope": "orders.read", "resource": "https://orders.example"}),
    ("scope in OAuth2Session", {"scope": "orders.read"}, {"resource": "https://orders.example"}),
):
    session = OAuth2Session("client", key, token_endpoint=TOKEN_ENDPOINT, grant_type="client_credentials",
                            token_endpoint_auth_method=PrivateKeyJWT(TOKEN_ENDPOINT), **session_has)
    session.mount("https://", Server())
    print(f"{what}:")
    time.time = now
    session.fetch_token(TOKEN_ENDPOINT, **call_has)
    time.time = lambda: now() + 120
    session.get("https://orders.example/")
PY

cat >stated <<'S'
all in fetch_token:
  token request: grant_type=client_credentials resource=https://orders.example scope=orders.read (authenticated: True)
  token request: grant_type=client_credentials (authenticated: True)
scope in OAuth2Session:
  token request: grant_type=client_credentials resource=https://orders.example scope=orders.read (authenticated: True)
  token request: grant_type=client_credentials scope=orders.read (authenticated: True)
S
echo "Authlib 1.2.0, OAuth2Session, a token and its renewal (the clock is moved, not waited for):"
echo "expected: the second request of a session asks for the same scope and resource as the first"
echo "seen:"
PYTHONPATH=$tmp/root/usr/lib/python3/dist-packages /usr/bin/python3 renew.py >seen || { cat seen; exit 2; }
sed 's/^/  /' seen
cmp -s seen stated || { echo "CHANGED: it used to be"; sed 's/^/  /' stated; exit 1; }
echo "As stated: what fetch_token was given is not asked for again."
