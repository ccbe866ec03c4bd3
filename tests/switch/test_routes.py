"""Delivery of the engine's output."""

import logging

import msgspec
import pytest

from softswitch.media import messages as m
from softswitch.switch import routes as module
from softswitch.switch.routes import Routes


def kinds(base: type[m.Report] = m.Report) -> set[type[m.Report]]:
    return {kind for child in base.__subclasses__() for kind in (child, *kinds(child))}


@pytest.mark.parametrize("kind", sorted(kinds() - {m.PortReport, m.TrackReport}, key=str))
def test_every_kind_of_report_has_a_subject(kind: type[m.Report]):
    required = {field.name: 7 for field in msgspec.structs.fields(kind) if field.required}
    assert module._subject(kind(**required)) == 7


def test_output_reaches_its_receivers_and_no_other():
    routes = Routes()
    got: list[tuple[str, object]] = []
    routes.frames(1, lambda data: got.append(("frame", data)))
    routes.datagrams(1, lambda data: got.append(("datagram", data)))
    routes.reports(1, lambda report: got.append(("report", report)))
    silent = m.MediaSilent(1, 5.0, 2.0)
    routes.deliver(
        m.Output(
            frames=[(1, b"f"), (2, b"x")], datagrams=[(1, b"d")], reports=[silent, m.MediaSilent(2, 5.0, 2.0)]
        )
    )
    assert got == [("frame", b"f"), ("datagram", b"d"), ("report", silent)]
    assert len(routes) == 1
    routes.remove(1)
    routes.deliver(m.Output(frames=[(1, b"f")]))
    assert len(got) == 3


def test_receiver_that_fails_costs_no_other_its_output(caplog: pytest.LogCaptureFixture):
    routes = Routes()
    got: list[bytes] = []

    def broken(data: bytes) -> None:
        raise ZeroDivisionError("injected")

    routes.frames(1, broken)
    routes.frames(2, got.append)
    with caplog.at_level(logging.ERROR):
        routes.deliver(m.Output(frames=[(1, b"a"), (2, b"b")]))
    assert (got, routes.failures) == ([b"b"], 1)
    assert caplog.records[0].exc_info is not None
