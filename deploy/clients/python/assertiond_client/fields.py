"""Keyword arguments as fields of a request."""
from datetime import timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct


def _duration(name, value):
    if isinstance(value, timedelta):
        made = Duration()
        made.FromTimedelta(value)
        return made
    if isinstance(value, int) and not isinstance(value, bool):
        return Duration(seconds=value)
    if isinstance(value, (dict, Duration)):  # protobuf takes these
        return value
    raise TypeError(f"{name} must be whole seconds or a datetime.timedelta, not {value!r}")


def _struct(name, value):
    if isinstance(value, Struct):
        return value
    try:
        made = Struct()
        made.update(value)
        return made
    except (AttributeError, TypeError, ValueError):  # protobuf's words name neither the field nor what it takes
        raise TypeError(f"{name} must be a dict of values that JSON has; {name}_json takes JSON text") from None


_CONVERSIONS = {Duration.DESCRIPTOR.full_name: _duration, Struct.DESCRIPTOR.full_name: _struct}


def _value(field, value):
    kind = field.message_type and field.message_type.full_name
    return _CONVERSIONS[kind](field.name, value) if kind in _CONVERSIONS and value is not None else value


def request_of(message, client_id, fields):
    """A message, such as CreateAssertionRequest, for the client."""
    known = dict(message.DESCRIPTOR.fields_by_name)
    for name in fields:
        if name not in known:
            others = ", ".join(other for other in known if other != "client_id")
            raise TypeError(f'{message.DESCRIPTOR.name} has no field "{name}" (known: {others})')
    return message(client_id=client_id, **{name: _value(known[name], value) for name, value in fields.items()})
