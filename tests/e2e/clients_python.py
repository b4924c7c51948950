"""Uses assertiond_client as a program would; clients_python.test.mjs runs it. usage: clients_python.py VERB [ARGUMENT...]

Each verb prints one JSON value, or fails with AssertiondError as CODE.
"""
import json
import os
import sys
import time

from assertiond_client import AssertiondError, Client

SERVER = os.environ["ASSERTIOND_SERVER"]


def stream(count):
    with Client(SERVER) as client, client.stream() as stream:
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
    """Calls faster than the caller's rate allows, with time for the retries that this takes, or without."""
    started = time.monotonic()
    with Client(SERVER, timeout=float(timeout)) as client:
        for _ in range(int(calls)):
            client.create_assertion("orders")
    return {"seconds": time.monotonic() - started}


def restart():
    """Calls, waits for the test to restart the server, and calls again: once alone and once on the stream."""
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


verb, *arguments = sys.argv[1:]
try:
    print(json.dumps({"stream": stream, "rate": rate, "restart": restart, "down": down}[verb](*arguments)))
except AssertiondError as error:
    sys.exit(f"{error.code.name}, retry after {error.retry_after}")
