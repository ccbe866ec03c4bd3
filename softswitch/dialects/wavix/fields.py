"""Reading of request bodies; an error names every field that is wrong, and why."""

from typing import Any, TypeVar

import msgspec

from softswitch.dialects.bounds import TooMany, count, is_crowded
from softswitch.errors import PeerError

Body = TypeVar("Body", bound=msgspec.Struct)


class InvalidError(PeerError):
    """Fields of a request are missing or wrong."""

    def __init__(self, errors: dict[str, str]) -> None:
        super().__init__("Validation error", field=next(iter(errors), ""))
        self.errors = errors


def read_object(data: bytes) -> dict[str, Any]:
    """Return the JSON object of a body; an empty body is an empty object.

    Raises:
        InvalidError: The body is not a JSON object, or has too many values.
    """
    if not data.strip():
        return {}
    if is_crowded(data):
        raise InvalidError({"body": "The request body has too many lists and objects"})
    try:
        body = msgspec.json.decode(data)
        count(body)
    except TooMany as error:
        raise InvalidError({"body": f"The request body holds {error}"}) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidError({"body": "The request body is not valid JSON"}) from None
    if not isinstance(body, dict):
        raise InvalidError({"body": "The request body is not a JSON object"})
    return body


def read_body(body: dict[str, Any], kind: type[Body]) -> Body:
    """Return a body as a struct; unknown fields are ignored, and null or an empty text counts as absent.

    Args:
        body: The decoded object.
        kind: Type of the struct.

    Raises:
        InvalidError: Naming every field that is missing or wrong.
    """
    errors: dict[str, str] = {}
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        name = field.encode_name
        given = body.get(name)
        if given is None or given == "":
            if field.required:
                errors[name] = "This field is required"
            continue
        try:
            values[field.name] = msgspec.convert(given, field.type, strict=False)
        except msgspec.ValidationError as error:
            errors[name] = str(error)
    if errors:
        raise InvalidError(errors)
    return kind(**values)
