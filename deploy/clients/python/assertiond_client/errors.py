"""The one exception of this package, and which errors are worth another attempt."""
import grpc

from assertiond_client._wire.google_rpc import error_details_pb2, status_pb2

_RETRYABLE = (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE)
_CODES = {code.value[0]: code for code in grpc.StatusCode}


class AssertiondError(Exception):
    """assertiond refused the request or could not be reached.

    code: a grpc.StatusCode. message: what was wrong. retry_after: seconds that the server asks to wait, or None.
    """

    def __init__(self, code, message, retry_after=None):
        super().__init__(f"assertiond: {code.name}: {message}")
        self.code = code
        self.message = message
        self.retry_after = retry_after

    @property
    def retryable(self):
        return self.code in _RETRYABLE


def from_call(error):
    """The AssertiondError of a failed call (grpc.RpcError)."""
    status = status_pb2.Status()
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            status.ParseFromString(value)
    return AssertiondError(error.code(), error.details(), _retry_after(status))


def from_status(status):
    """The AssertiondError of a google.rpc.Status on the stream."""
    return AssertiondError(_CODES.get(status.code, grpc.StatusCode.UNKNOWN), status.message, _retry_after(status))


def _retry_after(status):
    info = error_details_pb2.RetryInfo()
    for detail in status.details:
        if detail.Unpack(info):
            return info.retry_delay.ToNanoseconds() / 1e9
    return None
