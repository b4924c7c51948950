"""Uses assertiond_client as a program would: ../client_contract.mjs describes the verbs."""
import base64
import json
import os
import sys
import time
from datetime import timedelta

import grpc
from assertiond_client import AssertiondError, Client
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct

SERVER = os.environ["ASSERTIOND_SERVER"]


def stream(count):
    with Client(SERVER, timeout=60) as client, client.stream() as stream:
        # Every tenth one is refused, so that a reply given to the wrong request shows.
        futures = [stream.submit("foreign" if i % 10 == 0 else "orders") for i in range(int(count))]
        jtis, refused = set(), []
        for i, future in enumerate(futures):
            try:
                jtis.add(future.result(timeout=30).jti)
            except AssertiondError as error:
                refused.append([i, error.code.name])
    return {"jtis": len(jtis), "refused": refused}


def rate(calls, timeout):
    started = time.monotonic()
    with Client(SERVER, timeout=20) as client:
        for i in range(int(calls)):
            client.create_assertion("orders", timeout=None if i == 0 else float(timeout))
    return {"seconds": time.monotonic() - started}


def restart():
    with Client(SERVER, timeout=20) as client, client.stream() as stream:
        before = [client.create_assertion("orders").jti, stream.submit("orders").result(timeout=20).jti]
        print("called", flush=True)
        sys.stdin.readline()
        after = [client.create_assertion("orders").jti, stream.submit("orders").result(timeout=20).jti]
    return {"jtis": len({*before, *after})}


def down(timeout):
    started = time.monotonic()
    try:
        with Client(SERVER, timeout=float(timeout)) as client:
            client.create_assertion("orders")
    except AssertiondError as error:
        return {"code": error.code.name, "retryable": error.retryable, "seconds": time.monotonic() - started}
    return {}


def token():
    with Client(SERVER) as client:
        first, second = client.get_access_token("orders"), client.get_access_token("orders")
    return {"type": first.token_type, "same": first.access_token == second.access_token,
            "validFor": first.expires_at.ToSeconds() - time.time()}


def others():
    with Client(SERVER) as client:
        return {"proof": client.create_dpop_proof("shop", htm="POST", htu="https://as.example.org/").proof,
                "object": client.create_request_object("shop").request_object,
                "certificate": client.get_certificate("shop").pem, "keys": client.get_jwks("shop")}


def misuse():
    messages = {}
    for name, server, timeout in (("plaintext", "localhost:1", 5), ("timeout", SERVER, 0)):
        try:
            Client(server, timeout=timeout)
        except ValueError as error:
            messages[name] = str(error)
    return messages


def lifetimes():
    """For clients_python.test.mjs: the lifetimes of assertions asked for in each form, and what is refused."""
    made, refused = [], []
    with Client(SERVER) as client, client.stream() as stream:
        for lifetime in (60, timedelta(minutes=1), Duration(seconds=60), {"seconds": 60}, None):
            for reply in (client.create_assertion("orders", lifetime=lifetime),
                          stream.submit("orders", lifetime=lifetime).result(timeout=20)):
                made.append(reply.expires_at.ToSeconds() - reply.issued_at.ToSeconds())
        for call in (client.create_assertion, client.create_request_object, stream.submit):
            for lifetime in ("60s", 60.5, True):
                try:
                    call("orders", lifetime=lifetime)
                except TypeError as error:
                    refused.append(str(error))
        token = client.get_access_token("orders", minimum_validity=timedelta(seconds=1)).access_token
    return {"made": made, "refused": refused, "token": bool(token)}


def fields():
    """For clients_python.test.mjs: what is said of fields that do not exist."""
    refused = []
    with Client(SERVER) as client, client.stream() as stream:
        for call, wrong in ((client.create_assertion, {"audiense": "a"}), (client.create_dpop_proof, {"access_token": "t"}),
                            (client.get_access_token, {"scopes": "s"}), (stream.submit, {"audiense": "a"})):
            try:
                call("orders", **wrong)
            except TypeError as error:
                refused.append(str(error))
    return refused


def claims():
    """For clients_python.test.mjs: the claims of assertions that were given some, and what is refused."""
    given = {"acr": "high", "amr": ["hwk", {"nested": True}], "level": 2, "nothing": None}
    made, refused = Struct(), []
    made.update(given)
    with Client(SERVER) as client, client.stream() as stream:
        replies = [client.create_assertion("orders", extra_claims=given), client.create_assertion("orders", extra_claims=made),
                   stream.submit("orders", extra_claims=given).result(timeout=20)]
        for wrong in ("acr", [1], {"acr": b"octets"}, {7: "acr"}):
            try:
                client.create_assertion("orders", extra_claims=wrong)
            except TypeError as error:
                refused.append(str(error))
    signed = []
    for reply in replies:
        payload = reply.assertion.split(".")[1]
        signed.append(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))))
    return {"claims": [{name: each[name] for name in given} for each in signed], "refused": refused}


def tls(address, timeout, *files):
    ca, certificate, key = (open(file, "rb").read() for file in files)
    with Client(address, credentials=grpc.ssl_channel_credentials(ca, key, certificate), timeout=float(timeout)) as client:
        return {"jti": client.create_assertion("orders").jti}


VERBS = {"stream": stream, "rate": rate, "restart": restart, "down": down, "token": token, "others": others,
         "misuse": misuse, "lifetimes": lifetimes, "fields": fields, "claims": claims, "tls": tls}
verb, *arguments = sys.argv[1:]
try:
    print(json.dumps(VERBS[verb](*arguments)))
except AssertiondError as error:
    sys.exit(f"{error.code.name}, retry after {error.retry_after}")
