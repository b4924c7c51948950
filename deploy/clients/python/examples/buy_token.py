#!/usr/bin/env python3
"""usage: buy_token.py CLIENT_ID TOKEN_ENDPOINT [AUDIENCE]

$ASSERTIOND_SERVER is unix:/path. AUDIENCE: one of the client's; default: its first."""
import os
import sys
import urllib.error
import urllib.parse
import urllib.request

from assertiond_client import AssertiondError, Client

if len(sys.argv) not in (3, 4):
    sys.exit(__doc__)
if "ASSERTIOND_SERVER" not in os.environ:
    sys.exit("buy_token.py: set ASSERTIOND_SERVER to unix:/path of assertiond's socket")
client_id, token_endpoint = sys.argv[1:3]
try:
    with Client(os.environ["ASSERTIOND_SERVER"]) as assertiond:
        made = assertiond.create_assertion(client_id, audience="".join(sys.argv[3:]))
    form = {"grant_type": "client_credentials", "client_id": client_id,
            "client_assertion_type": made.client_assertion_type, "client_assertion": made.assertion}
    with urllib.request.urlopen(token_endpoint, urllib.parse.urlencode(form).encode(), timeout=10) as answer:
        print(answer.read().decode())
except AssertiondError as error:
    sys.exit(str(error))
except urllib.error.HTTPError as error:
    sys.exit(f"identity server: {error.code} {error.read().decode()}")
except (OSError, ValueError) as error:
    sys.exit(f"buy_token.py: {error}")
