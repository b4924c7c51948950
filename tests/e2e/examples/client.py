#!/usr/bin/env python3
"""Gets an access token with a client assertion of assertiond's, and prints the identity server's answer.

usage: client.py CLIENT_ID TOKEN_ENDPOINT [AUDIENCE]

AUDIENCE is one of the client's; default: its first. $ASSERTIOND_SERVER is unix:/path. Needs python3-grpcio. The
modules assertion.v1.* are made from proto/ by

    protoc -I proto --python_out=. --grpc_python_out=. --plugin=protoc-gen-grpc_python=/usr/bin/grpc_python_plugin \\
        proto/assertion/v1/assertion.proto proto/google/rpc/status.proto

and found by PYTHONPATH=. then.
"""
import os
import sys
import urllib.error
import urllib.parse
import urllib.request

try:
    import grpc
    from assertion.v1 import assertion_pb2, assertion_pb2_grpc
except ModuleNotFoundError as missing:
    sys.exit(f"client.py: {missing}\n\n{__doc__}")


def request_token(assertions, client_id, token_endpoint, audience):
    # A new assertion for every request, retries included; always with a deadline, which the server plans by.
    answer = assertions.CreateAssertion(
        assertion_pb2.CreateAssertionRequest(client_id=client_id, audience=audience), timeout=5)
    form = urllib.parse.urlencode({
        "grant_type": "client_credentials",
        "client_id": client_id,
        "client_assertion_type": answer.client_assertion_type,
        "client_assertion": answer.assertion,
    })
    with urllib.request.urlopen(token_endpoint, form.encode(), timeout=10) as response:
        return response.read().decode()


def main():
    if len(sys.argv) not in (3, 4) or "ASSERTIOND_SERVER" not in os.environ:
        sys.exit(__doc__)
    client_id, token_endpoint, *audience = sys.argv[1:]
    with grpc.insecure_channel(os.environ["ASSERTIOND_SERVER"]) as channel:  # the kernel says who we are
        assertions = assertion_pb2_grpc.AssertionServiceStub(channel)
        try:
            print(request_token(assertions, client_id, token_endpoint, "".join(audience)))
        except grpc.RpcError as error:
            sys.exit(f"assertiond: {error.code().name}: {error.details()}")
        except urllib.error.HTTPError as error:
            sys.exit(f"identity server: {error.code} {error.read().decode()}")
        except (OSError, ValueError) as error:
            sys.exit(f"client.py: {error}")


main()
