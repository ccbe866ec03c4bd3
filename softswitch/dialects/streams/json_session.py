"""What the stream dialects of JSON messages have in common; used by the dialects of this package."""

import binascii
from abc import abstractmethod
from typing import Any

import msgspec
import pybase64

from softswitch.call.interfaces import StreamRequest
from softswitch.dialects.bounds import MAX_VALUES, TooMany, count, is_crowded
from softswitch.errors import MalformedError
from softswitch.legs.stream.dialect import StreamSession, Values

MAX_NAME = 1024
"""Longest name of a mark, characters."""

_FEW = MAX_VALUES // 2
"""Commas up to which the values of a message need not be counted."""
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class JsonSession(StreamSession):
    """A stream whose text messages are JSON objects; it numbers the messages of the switch."""

    def __init__(self, request: StreamRequest) -> None:
        self._request = request
        self._sequence = 0

    def read_text(self, data: bytes, now_ms: int) -> Values:
        """Return what a JSON object of the service means.

        Raises:
            MalformedError: It is not a JSON object, is too large, or a field of it is wrong.
        """
        return self._values(read_object(data), now_ms)

    @abstractmethod
    def _values(self, message: dict[str, Any], now_ms: int) -> Values:
        """Return what a message means; raise MalformedError where a field is wrong."""

    def _next(self) -> int:
        """Return the number of the next message, from 1."""
        self._sequence += 1
        return self._sequence


def encode(message: object) -> bytes:
    """Return a message as JSON text."""
    return _encode(message)


def fixed(value: object) -> bytes:
    """Return a value as JSON text for a template of ``bytes`` formatting: its percent signs survive.

    Media messages, fifty a second for each stream, are formatted: half the cost of encoding them.
    """
    return _encode(value).replace(b"%", b"%%")


def read_object(data: bytes) -> dict[str, Any]:
    """Return the JSON object of a message.

    Raises:
        MalformedError: It is not a JSON object, or holds too many values.
    """
    if is_crowded(data):
        raise MalformedError("the message holds too many lists and objects")
    try:
        message = _decode(data)
        # A value stands before a comma or at the end of an object or list: few commas mean few values.
        if len(data) > _FEW and data.count(b",") > _FEW:
            count(message)
    except TooMany as error:
        raise MalformedError(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedError(f"the message is not JSON: {error}") from None
    if not isinstance(message, dict):
        raise MalformedError("the message is not a JSON object")
    return message


def child(message: dict[str, Any], field: str) -> dict[str, Any]:
    """Return the object in a field.

    Raises:
        MalformedError: The field is missing or is not an object.
    """
    value = message.get(field)
    if not isinstance(value, dict):
        raise MalformedError(f"{field}: must be an object", field=field)
    return value


def text(message: dict[str, Any], field: str, most: int = MAX_NAME) -> str:
    """Return the text in a field, at most ``most`` characters.

    Raises:
        MalformedError: The field is missing, is not a text, or is longer.
    """
    value = message.get(field)
    if not isinstance(value, str) or len(value) > most:
        raise MalformedError(f"{field}: must be a text of at most {most} characters", field=field)
    return value


def audio(message: dict[str, Any], field: str = "payload") -> bytes:
    """Return the bytes of a field in base64.

    Raises:
        MalformedError: The field is missing or is not base64.
    """
    value = message.get(field)
    if not isinstance(value, str):
        raise MalformedError(f"{field}: must be audio in base64", field=field)
    try:
        return pybase64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedError(f"{field}: is not base64: {error}", field=field) from None


def base64_text(data: bytes) -> str:
    """Return bytes in base64."""
    return pybase64.b64encode(data).decode()
