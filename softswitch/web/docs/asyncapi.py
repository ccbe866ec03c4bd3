"""The description of the sockets (AsyncAPI 3.0), from the structs that are read and written."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from softswitch.web.docs.schemas import schemas, title


@dataclass(frozen=True, slots=True)
class Channel:
    """One socket."""

    name: str
    address: str
    """Path, or who says where it is."""
    description: str
    sent: Sequence[type[msgspec.Struct]]
    """What the switch sends."""
    received: Sequence[type[msgspec.Struct]] = ()
    """What it takes."""
    outgoing: bool = False
    """Whether the switch is the client."""


def asyncapi(channels: Sequence[Channel], version: str) -> dict[str, Any]:
    """Return the document.

    Args:
        channels: The sockets.
        version: Of the switch.
    """
    document: dict[str, Any] = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "softswitch: sockets",
            "version": version,
            "description": "Everything that goes over WebSockets. `send` and `receive` are the switch's.",
        },
        "defaultContentType": "application/json",
        "channels": {},
        "operations": {},
        "components": {"messages": {}, "schemas": {}},
    }
    for channel in channels:
        _add(document, channel)
    return document


def _add(document: dict[str, Any], channel: Channel) -> None:
    kinds = [*channel.sent, *channel.received]
    references, components = schemas(kinds, f"{channel.name}.")
    document["components"]["schemas"] |= components
    messages: dict[str, Any] = {}
    for number, (kind, reference) in enumerate(zip(kinds, references, strict=True)):
        action = "send" if number < len(channel.sent) else "receive"
        name = f"{channel.name}.{action}.{_tag(kind)}"
        document["components"]["messages"][name] = {
            "name": _tag(kind),
            "title": _tag(kind),
            "summary": title(kind),
            "payload": reference,
        }
        messages[name] = {"$ref": f"#/components/messages/{name}"}
        operation = document["operations"].setdefault(
            f"{channel.name}.{action}",
            {"action": action, "channel": {"$ref": f"#/channels/{channel.name}"}, "messages": []},
        )
        operation["messages"].append({"$ref": f"#/channels/{channel.name}/messages/{name}"})
    document["channels"][channel.name] = {
        "address": None if channel.outgoing else channel.address,
        "title": channel.address,
        "description": channel.description,
        "messages": messages,
    }


def _tag(kind: type[msgspec.Struct]) -> str:
    tag = kind.__struct_config__.tag
    return str(tag) if tag else kind.__name__
