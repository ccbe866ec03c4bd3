"""The structs of the events of the /call dialect."""

import msgspec

from softswitch.protocol import call_events
from softswitch.protocol.call_events import KINDS, Answer, Mark, Resumed


def test_secrets_do_not_show_in_a_log():
    shown = repr(Answer(timestamp=0, track_id="t", sdp="v=0", resume="secret"))
    shown += repr(Resumed(timestamp=0, track_id="t", resume="secret"))
    assert "secret" not in shown
    assert "v=0" not in shown


def test_a_mark_keeps_its_own_name():
    event = Mark(timestamp=0, track_id="t", mark="half", status="played")
    assert event.name == "mark"
    assert msgspec.to_builtins(event)["name"] == "half"


def test_every_event_is_public():
    assert {kind.__name__ for kind in KINDS.values()} <= set(call_events.__all__)
