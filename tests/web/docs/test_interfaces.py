"""The descriptions of REST and sockets: complete, consistent, and in step with the routes."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from softswitch.metrics import Metrics
from softswitch.settings import Auth, static_root
from softswitch.web.application import ROUTES, make_application
from softswitch.web.auth import Authenticator
from softswitch.web.docs.interfaces import CHANNELS, rest, sockets
from tests.support.schema import faults, follow, source


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


def test_every_route_of_the_application_is_described():
    described = rest(ROUTES)["paths"]
    found = {(method.upper(), path) for path, methods in described.items() for method in methods}
    assert found == {(route.method, route.path) for route in ROUTES}
    names = [one["operationId"] for methods in described.values() for one in methods.values()]
    assert len(names) == len(set(names))
    for path, methods in described.items():
        for method, operation in methods.items():
            assert not operation["summary"].startswith(method.upper()), f"{path}: the handler has no words"


def test_every_socket_of_the_application_is_described():
    addresses = {part for channel in CHANNELS for part in channel.address.split(", ")}
    assert {"/call", "/call/webrtc", "/call/sip", "/ws", "/sip", "/events/{id}"} <= addresses


def test_every_route_is_served_with_a_slash_behind_it():
    app = make_application(Authenticator(Auth(), Metrics("test")), max_body=1)
    resources = {resource.canonical for resource in app.router.resources()}
    for route in ROUTES:
        assert route.path.rstrip("/") + "/" in resources or route.path == "/", route.path


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


def test_examples_of_the_source_document_fit_our_description():
    local = sockets()
    for name, message in source()["components"]["messages"].items():
        action = "receive" if name.startswith(("Incoming", "Clear")) else "send"
        for example in message["examples"]:
            payload = example["payload"]
            described = local["components"]["messages"][f"stream.{action}.{payload['event']}"]
            assert faults(payload, described["payload"], local) == []


def test_our_description_requires_what_the_source_document_requires():
    local, remote = sockets(), source()
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
        required = remote["components"]["schemas"][one]["required"]
        assert set(required) == set(local["components"]["schemas"][other]["required"]), one


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
