"""google.rpc's messages: from googleapis-common-protos where that is installed, else our own copy.

Protobuf refuses two definitions of one message in a process, so the copy must not be loaded beside the original.
"""
try:
    from google.rpc import error_details_pb2, status_pb2
except ImportError:
    from assertiond_client._wire.google.rpc import error_details_pb2, status_pb2

__all__ = ["error_details_pb2", "status_pb2"]
