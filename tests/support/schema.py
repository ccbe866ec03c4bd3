"""JSON Schema as far as the source documents use it, for checking messages against them."""

import json
import re
from pathlib import Path
from typing import Any

from tests.conftest import data_path

ASYNCAPI = data_path("documents", "wavix_stream_schema.json")
"""Schemas and examples of the source document, without its prose."""
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_KINDS: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def faults(value: Any, schema: dict[str, Any], document: dict[str, Any], path: str = "$") -> list[str]:
    """Return what of a value breaks a schema, in words.

    Args:
        value: Decoded JSON.
        schema: What it is to fit.
        document: Where references lead.
        path: Where the value stands.
    """
    while "$ref" in schema:
        schema = follow(schema["$ref"], document)
    if "anyOf" in schema:
        tried = [faults(value, one, document, path) for one in schema["anyOf"]]
        return [] if not all(tried) else tried[0]
    found = []
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_is(value, kind) for kind in kinds):
        return [f"{path} is {value!r} and not {' or '.join(kinds)}"]
    if "const" in schema and value != schema["const"]:
        found.append(f"{path} is {value!r} and not {schema['const']!r}")
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{path} is {value!r} and none of {schema['enum']}")
    if schema.get("format") == "date-time" and not _MOMENT.fullmatch(value):
        found.append(f"{path} is {value!r} and no moment")
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        found += [f"{path} has no {name}" for name in schema.get("required", []) if name not in value]
        for name, inner in value.items():
            if name in properties:
                found += faults(inner, properties[name], document, f"{path}.{name}")
    if isinstance(value, list) and "items" in schema:
        for number, inner in enumerate(value):
            found += faults(inner, schema["items"], document, f"{path}[{number}]")
    return found


def follow(reference: str, document: dict[str, Any]) -> dict[str, Any]:
    """Return what a reference within a document names."""
    found: Any = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    assert isinstance(found, dict)
    return found


def source(path: Path = ASYNCAPI) -> dict[str, Any]:
    """Return the source document of streams."""
    return dict(json.loads(path.read_text(encoding="utf-8")))


OUTGOING = {
    "connected": "ConnectedEvent",
    "start": "StartEvent",
    "media": "OutgoingMediaEvent",
    "mark": "OutgoingMarkEvent",
    "stop": "StopEvent",
}
"""Schemas of the document for what the switch sends, by event."""


def message_faults(message: dict[str, Any], document: dict[str, Any]) -> list[str]:
    """Return what is wrong with a message that the switch sent, by the source document."""
    name = OUTGOING.get(message.get("event", ""))
    if name is None:
        return [f"the event {message.get('event')!r} is not in the document"]
    return faults(message, document["components"]["schemas"][name], document)


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _KINDS[kind])
