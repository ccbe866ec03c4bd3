"""The descriptions of REST and sockets: complete, consistent, and in step with the routes."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from softswitch.settings import static_root
from softswitch.web import wavix_routes
from softswitch.web.docs.interfaces import rest, sockets
from tests.support.schema import ASYNCAPI, faults, follow, source


def references(document: Any) -> Iterator[str]:
    """Yield every reference within a document."""
    if isinstance(document, dict):
        for key, value in document.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(document, list):
        for value in document:
            yield from references(value)


@pytest.mark.parametrize("document", [rest(), sockets()], ids=["rest", "sockets"])
def test_every_reference_leads_somewhere(document):
    found = set(references(document))
    assert len(found) > 20
    for reference in found:
        follow(reference, document)


def test_every_route_of_call_control_is_described():
    described = {(method.upper(), path) for path, methods in rest()["paths"].items() for method in methods}
    assert described == {(route.method, route.path) for route in wavix_routes.ROUTES}


def test_operations_have_names_of_their_own_and_their_parameters():
    names = []
    for path, methods in rest()["paths"].items():
        for operation in methods.values():
            names.append(operation["operationId"])
            given = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
            assert given == set(re.findall(r"{(\w+)}", path))
            assert operation["summary"]
            assert "401" in operation["responses"]
    assert len(names) == len(set(names))


def test_descriptions_are_of_the_versions_they_claim():
    assert rest()["openapi"] == "3.1.0"
    assert sockets()["asyncapi"] == "3.0.0"


@pytest.mark.skipif(not ASYNCAPI.exists(), reason="the source documents are not here")
def test_examples_of_the_source_document_fit_our_description():
    ours = sockets()
    for name, message in source()["components"]["messages"].items():
        action = "receive" if name.startswith(("Incoming", "Clear")) else "send"
        for example in message["examples"]:
            payload = example["payload"]
            described = ours["components"]["messages"][f"stream.{action}.{payload['event']}"]
            assert faults(payload, described["payload"], ours) == []


@pytest.mark.skipif(not ASYNCAPI.exists(), reason="the source documents are not here")
def test_our_description_requires_what_the_source_document_requires():
    ours, theirs = sockets(), source()
    pairs = {
        "ConnectedEvent": "stream.Connected",
        "StartEvent": "stream.Start",
        "OutgoingMediaEvent": "stream.Media",
        "OutgoingMarkEvent": "stream.Mark",
        "StopEvent": "stream.Stop",
        "OutgoingMediaPayload": "stream.MediaPart",
        "IncomingMediaEvent": "stream.PlayMedia",
        "IncomingMarkEvent": "stream.PlaceMark",
        "ClearEvent": "stream.Clear",
    }
    for one, other in pairs.items():
        required = theirs["components"]["schemas"][one]["required"]
        assert set(required) == set(ours["components"]["schemas"][other]["required"]), one


def test_every_event_and_command_of_call_is_described():
    messages = sockets()["channels"]["call"]["messages"]
    assert {
        "call.send.answer",
        "call.send.hangup",
        "call.send.stream",
        "call.receive.invite",
    } <= messages.keys()


def test_pages_ask_nobody_else():
    for file in (static_root() / "docs").iterdir():
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"(https?:)?//[a-z]", text.replace("// Draws", "")), file.name
