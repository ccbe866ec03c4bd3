"""Reading the body of a request: every field that is wrong is named, with what is wrong with it."""

from typing import Any, TypeVar

import msgspec

from softswitch.errors import PeerError

Body = TypeVar("Body", bound=msgspec.Struct)


class InvalidError(PeerError):
    """Say which fields of a request cannot be taken."""

    def __init__(self, errors: dict[str, str]) -> None:
        super().__init__("Validation error", field=next(iter(errors), ""))
        self.errors = errors


def read_object(data: bytes) -> dict[str, Any]:
    """Return the JSON object of a body; nothing at all is an empty one.

    Raises:
        InvalidError: it is something else.
    """
    if not data.strip():
        return {}
    try:
        body = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidError({"body": "The request body is not valid JSON"}) from None
    if not isinstance(body, dict):
        raise InvalidError({"body": "The request body is not a JSON object"})
    return body


def read_body(body: dict[str, Any], kind: type[Body]) -> Body:
    """Return a body as a struct; fields it does not have are ignored, and null counts as absent.

    Args:
        body: The decoded object.
        kind: What it is to be.

    Raises:
        InvalidError: naming every field that is missing or wrong.
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
