#!/usr/bin/env python3
"""usage: use_bound_token.py CLIENT_ID DPOP_CLIENT_ID URL

Gets URL with an access token of CLIENT_ID that DPoP binds to the key of DPOP_CLIENT_ID (tokens.dpop_client).
$ASSERTIOND_SERVER is unix:/path."""
import base64
import hashlib
import os
import sys
import urllib.error
import urllib.parse
import urllib.request

from assertiond_client import AssertiondError, Client


class NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None  # another URL needs a proof of its own


def get(assertiond, client_id, dpop_client_id, url):
    bought = assertiond.get_access_token(client_id)
    digest = hashlib.sha256(bought.access_token.encode()).digest()
    proof_of = {"htm": "GET", "htu": urllib.parse.urlsplit(url)._replace(query="", fragment="").geturl(),
                "ath": base64.urlsafe_b64encode(digest).decode().rstrip("=")}
    opener = urllib.request.build_opener(NoRedirects)
    nonce = None  # a program that runs on keeps the last one for its next request
    while True:
        made = assertiond.create_dpop_proof(dpop_client_id, nonce=nonce, **proof_of)
        if made.kid != bought.kid:
            raise ValueError("the token is bound to another key: "
                             "name tokens.dpop_client, or try again after a rotation")
        request = urllib.request.Request(
            url, headers={"Authorization": f"DPoP {bought.access_token}", "DPoP": made.proof})
        try:
            with opener.open(request, timeout=10) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as error:
            if nonce is not None or "use_dpop_nonce" not in error.headers.get("WWW-Authenticate", ""):
                raise
            nonce = error.headers.get("DPoP-Nonce", "")  # RFC 9449 section 9: once more, with the server's nonce


if len(sys.argv) != 4:
    sys.exit(__doc__)
if "ASSERTIOND_SERVER" not in os.environ:
    sys.exit("use_bound_token.py: set ASSERTIOND_SERVER to unix:/path of assertiond's socket")
try:
    with Client(os.environ["ASSERTIOND_SERVER"]) as client:
        print(get(client, *sys.argv[1:]))
except AssertiondError as error:
    sys.exit(str(error))
except urllib.error.HTTPError as error:
    sys.exit(f"resource: {error.code} {error.headers.get('WWW-Authenticate', '')} {error.read().decode()}")
except (OSError, ValueError) as error:
    sys.exit(f"use_bound_token.py: {error}")
