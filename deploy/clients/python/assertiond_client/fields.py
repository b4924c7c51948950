"""Keyword arguments as fields of a request."""
from datetime import timedelta

from google.protobuf.duration_pb2 import Duration

_DURATIONS = ("lifetime", "minimum_validity")


def _duration(name, value):
    if isinstance(value, timedelta):
        made = Duration()
        made.FromTimedelta(value)
        return made
    if isinstance(value, int) and not isinstance(value, bool):
        return Duration(seconds=value)
    if value is None or isinstance(value, (dict, Duration)):  # protobuf takes these
        return value
    raise TypeError(f"{name} must be whole seconds or a datetime.timedelta, not {value!r}")


def request_of(message, client_id, fields):
    """A message, such as CreateAssertionRequest, for the client."""
    converted = {name: _duration(name, value) if name in _DURATIONS else value for name, value in fields.items()}
    return message(client_id=client_id, **converted)
