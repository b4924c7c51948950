"""Calls of assertiond's services with a deadline and with retries."""
import random
import threading
import time

import grpc

from assertiond_client import errors
from assertiond_client._wire.assertion.v1 import (
    access_token_pb2, access_token_pb2_grpc, assertion_pb2, assertion_pb2_grpc)
from assertiond_client.fields import request_of
from assertiond_client.socket_access import why_closed
from assertiond_client.stream import AssertionStream

DEFAULT_TIMEOUT = 5.0
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0
# gRPC waits up to two minutes between attempts to connect; a restarted server must be found sooner.
_CHANNEL_OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 500),
]


def check_timeout(timeout):
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 < timeout < float("inf"):
        raise ValueError(f"timeout must be a positive number of seconds, not {timeout!r}")


class Client:
    """One connection to assertiond, usable from many threads. Close it, or use it in a with statement.

    server: unix:/path, or HOST:PORT together with credentials (grpc.ssl_channel_credentials with a client certificate).
    timeout: seconds for a whole call, retries included.
    """

    def __init__(self, server, *, credentials=None, timeout=DEFAULT_TIMEOUT):
        check_timeout(timeout)
        if credentials is None and not server.startswith("unix:"):
            raise ValueError(f'server "{server}" needs credentials: without them only unix:/path is allowed')
        self._timeout = timeout
        self._socket = server if credentials is None else None
        self._closed = threading.Event()
        self._channel = (
            grpc.insecure_channel(server, _CHANNEL_OPTIONS)  # the kernel tells the server who calls
            if credentials is None else grpc.secure_channel(server, credentials, _CHANNEL_OPTIONS))
        self._stub = assertion_pb2_grpc.AssertionServiceStub(self._channel)
        self._tokens = access_token_pb2_grpc.AccessTokenServiceStub(self._channel)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._closed.set()
        self._channel.close()

    def create_assertion(self, client_id, *, timeout=None, **fields):
        """Returns a CreateAssertionResponse. fields: of CreateAssertionRequest, such as audience or lifetime."""
        request = request_of(assertion_pb2.CreateAssertionRequest, client_id, fields)
        return self._call(self._stub.CreateAssertion, request, timeout)

    def create_dpop_proof(self, client_id, *, timeout=None, **fields):
        """Returns a CreateDpopProofResponse. fields: of CreateDpopProofRequest: htm, htu, ath, nonce."""
        request = request_of(assertion_pb2.CreateDpopProofRequest, client_id, fields)
        return self._call(self._stub.CreateDpopProof, request, timeout)

    def create_request_object(self, client_id, *, timeout=None, **fields):
        """Returns a CreateRequestObjectResponse. fields: of CreateRequestObjectRequest, such as claims_json."""
        request = request_of(assertion_pb2.CreateRequestObjectRequest, client_id, fields)
        return self._call(self._stub.CreateRequestObject, request, timeout)

    def get_access_token(self, client_id, *, timeout=None, **fields):
        """Returns a GetAccessTokenResponse. fields: of GetAccessTokenRequest, such as scope or resource."""
        request = request_of(access_token_pb2.GetAccessTokenRequest, client_id, fields)
        return self._call(self._tokens.GetAccessToken, request, timeout)

    def get_certificate(self, client_id, *, kid="", timeout=None):
        """Returns a GetCertificateResponse."""
        request = assertion_pb2.GetCertificateRequest(client_id=client_id, kid=kid)
        return self._call(self._stub.GetCertificate, request, timeout)

    def get_jwks(self, client_id, *, timeout=None):
        """Returns the JWK Set as JSON text."""
        return self._call(self._stub.GetJwks, assertion_pb2.GetJwksRequest(client_id=client_id), timeout).jwks

    def stream(self):
        """Returns an AssertionStream, for many assertions in flight at once."""
        return AssertionStream(self._stub, self._timeout)

    def _call(self, method, request, timeout):
        timeout = self._timeout if timeout is None else timeout
        check_timeout(timeout)
        deadline = time.monotonic() + timeout
        pause = _FIRST_PAUSE
        left = timeout
        while True:
            try:
                return method(request, timeout=left)
            except grpc.RpcError as call:
                error = errors.from_call(call)
            if error.code is grpc.StatusCode.UNAVAILABLE and self._socket is not None:
                closed = why_closed(self._socket)
                if closed is not None:  # no retry opens it
                    raise errors.AssertiondError(grpc.StatusCode.PERMISSION_DENIED, closed)
            # Jitter, so that callers refused together do not come back together. Never earlier than the server asks.
            wait = pause * random.uniform(0.5, 1) if error.retry_after is None else error.retry_after * random.uniform(1, 1.2)
            left = deadline - time.monotonic() - wait
            if not error.retryable or left <= 0 or self._closed.wait(wait):
                raise error
            left = deadline - time.monotonic()
            if left <= 0:
                raise error
            pause = min(2 * pause, _LONGEST_PAUSE)
