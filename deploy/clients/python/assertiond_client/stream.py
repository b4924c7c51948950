"""Many assertions in flight on one stream, each answered by its tag."""
import queue
import threading
from concurrent.futures import Future

import grpc

from assertiond_client import errors
from assertiond_client._wire.assertion.v1 import assertion_pb2
from assertiond_client.fields import request_of

IN_FLIGHT = 256  # what the server takes on one stream
LONGEST_WAIT = 30  # seconds that the server lets a request wait


class _Connection:
    """One call of CreateAssertions and the futures that it owes."""

    def __init__(self, stub, on_answer):
        self.pending = {}
        self.broken = False
        self.lock = threading.Lock()
        self._requests = queue.SimpleQueue()
        self._on_answer = on_answer
        self._call = stub.CreateAssertions(iter(self._requests.get, None))
        self.reader = threading.Thread(target=self._read, name="assertiond-stream", daemon=True)
        self.reader.start()

    def send(self, request, future):
        """Returns false if the stream has ended: nothing was sent then."""
        with self.lock:
            if self.broken:
                return False
            self.pending[request.tag] = future
            self._requests.put(request)
            return True

    def end(self):
        self._requests.put(None)

    def cancel(self):
        self._call.cancel()

    def _read(self):
        error = errors.AssertiondError(grpc.StatusCode.UNAVAILABLE, "the server ended the stream")
        try:
            for reply in self._call:
                with self.lock:
                    future = self.pending.pop(reply.tag, None)
                if future is not None:
                    self._on_answer()
                    if reply.HasField("assertion"):
                        future.set_result(reply.assertion)
                    else:
                        future.set_exception(errors.from_status(reply.error))
        except grpc.RpcError as call:
            error = errors.from_call(call)
        with self.lock:
            self.broken = True
            owed, self.pending = self.pending, {}
        self._requests.put(None)  # lets gRPC's sending thread end
        for future in owed.values():
            self._on_answer()
            future.set_exception(error)


class AssertionStream:
    """Sends requests without waiting for the answers. Usable from many threads; opens the stream anew after it broke."""

    def __init__(self, stub, timeout):
        self._stub = stub
        self._timeout = timeout
        self._places = threading.BoundedSemaphore(IN_FLIGHT)
        self._lock = threading.Lock()
        self._connection = None
        self._closed = False
        self._tag = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def submit(self, client_id, **fields):
        """Returns a concurrent.futures.Future of a CreateAssertionResponse. It fails with AssertiondError.

        Waits for a place while 256 requests are in flight. A request is not repeated: submit it again where
        AssertiondError.retryable says so.
        """
        request = assertion_pb2.CreateAssertionsRequest(
            assertion=request_of(assertion_pb2.CreateAssertionRequest, client_id, fields))
        request.timeout.FromNanoseconds(int(min(self._timeout, LONGEST_WAIT) * 1e9))
        if not self._places.acquire(timeout=self._timeout):
            raise errors.AssertiondError(
                grpc.StatusCode.DEADLINE_EXCEEDED, f"{IN_FLIGHT} requests are in flight and none was answered")
        future = Future()
        future.set_running_or_notify_cancel()  # what is sent cannot be taken back
        try:
            self._send(request, future)
        except BaseException:
            self._places.release()
            raise
        return future

    def _send(self, request, future):
        with self._lock:
            if self._closed:
                raise ValueError("the stream is closed")
            self._tag += 1
            request.tag = self._tag
            while self._connection is None or not self._connection.send(request, future):
                self._connection = _Connection(self._stub, self._places.release)

    def close(self):
        """Waits for the answers that are owed, at most the timeout; then fails what is left."""
        with self._lock:
            self._closed = True
            connection = self._connection
        if connection is None:
            return
        connection.end()
        connection.reader.join(self._timeout)
        if connection.reader.is_alive():
            connection.cancel()
            connection.reader.join()
