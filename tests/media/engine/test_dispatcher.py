"""The dispatcher: every message has its handler, and refusals are counted and reported."""

import logging

import pytest

from softswitch import signals
from softswitch.media import messages as m
from softswitch.media.engine.dispatcher import Dispatcher
from softswitch.media.engine.parts import build
from tests.media.fake_plane import FakePlane
from tests.media.rig import Rig


def make_dispatcher() -> Dispatcher:
    return Dispatcher(build(FakePlane(), {}, None, lambda: None))


def classes_below(base: type) -> set[type]:
    """Return the classes derived from `base` that have no classes below them."""
    below: list[type] = base.__subclasses__()
    return {leaf for kind in below for leaf in classes_below(kind)} if below else {base}


def test_every_message_has_exactly_one_handler():
    handled = set(make_dispatcher()._handlers)
    own = {signals.__name__, m.__name__}
    assert handled == {kind for kind in classes_below(m.Message) if kind.__module__ in own}
    assert len(handled) > 20


def test_message_without_a_handler_is_an_error_of_the_program():
    class Odd(m.Message, frozen=True):
        """A message that nothing handles."""

    with pytest.raises(KeyError):
        make_dispatcher().dispatch(Odd(), 0.0)


def test_message_without_a_handler_does_not_stop_the_tick():
    class Strange(m.Message, frozen=True):
        """A message that nothing handles."""

    rig = Rig()
    port = rig.new_id()
    rig.post(Strange(), m.AddFeedPort(port, 1))
    rig.tick()
    assert rig.engine.counters["step_errors"] == 1
    assert rig.engine.counters["unknown_ids"] == 0
    assert port in rig.engine._parts.registry


def test_message_to_an_unknown_port_is_counted():
    rig = Rig()
    rig.post(m.SetMuted(99, True), m.RemovePort(99), m.RemoveTap(98), m.StopRecorder(97))
    rig.tick()
    assert rig.engine.counters["unknown_ids"] == 4
    assert not rig.reports


def test_refused_message_names_itself_in_the_log(caplog):
    rig = Rig()
    port = rig.feed_port()
    with caplog.at_level(logging.WARNING):
        rig.post(m.SetVad(port, "unknown"))
        rig.tick()
    assert rig.engine.counters["refused_messages"] == 1
    assert [(record.message, record.engine_message) for record in caplog.records] == [
        ("message to the media engine refused", "SetVad")
    ]
