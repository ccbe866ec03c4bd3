"""The messages of `/ws`: what is read and written is what the description of the sockets says."""

import json
from typing import Any, get_args

import msgspec
import pytest

from softswitch.dialects.rooms import messages
from softswitch.protocol import room_messages as w
from softswitch.room import events as ev
from softswitch.room.rejection import RoomReason, RoomRefused
from softswitch.web.docs.interfaces import sockets
from tests.support.schema import faults

PLACE = {"roomId": "r", "participantId": "p"}
SAMPLES: dict[str, dict[str, Any]] = {
    "auth": {"token": "t"},
    "room:join": {"roomId": "r", "agentId": "anna", "metadata": {"display_name": "Anna"}},
    "room:leave": PLACE,
    "webrtc:offer": {**PLACE, "offer": {"type": "offer", "sdp": "v=0\r\n"}},
    "webrtc:answer": {**PLACE, "answer": {"type": "answer", "sdp": "v=0\r\n"}},
    "webrtc:ice-candidate": {**PLACE, "candidate": {"candidate": "candidate:1", "sdpMid": "0"}},
    "room:mute": {**PLACE, "muted": True},
    "state": {**PLACE, "state": "connected"},
    "stats": {**PLACE, "stats": {"voicePacketsSent": 5, "packetLossPercent": 0.4}},
}
EVENTS = (
    ev.Joined(room="r", participant="p", status="connecting"),
    ev.ParticipantJoined(participant="p", agent="anna", display_name="Anna", status="connected"),
    ev.ParticipantLeft(participant="p", reason="left"),
    ev.OfferCame(sender="p", sdp="v=0\r\n"),
    ev.AnswerCame(sender="p", sdp="v=0\r\n"),
    ev.CandidateCame(sender="p", candidate={"candidate": "candidate:1"}),
    ev.VoiceStarted(participant="p"),
    ev.VoiceStopped(participant="p"),
    ev.MutedChanged(participant="p", muted=True),
    ev.RoomError(reason=RoomReason.INVALID, text="x"),
    ev.RoomClosed(room="r", reason="closed"),
)


def described(action: str) -> dict[str, dict[str, Any]]:
    """Return the described payloads of `/ws` by type."""
    prefix = f"rooms.{action}."
    found = sockets()["components"]["messages"].items()
    return {
        name.removeprefix(prefix): message["payload"] for name, message in found if name.startswith(prefix)
    }


def text(kind: str, fields: dict[str, Any]) -> str:
    return json.dumps({"type": kind, **fields})


def test_every_message_that_is_read_is_described_and_no_other() -> None:
    with pytest.raises(RoomRefused) as refused:
        messages.parse('{"type": "?"}')
    known = str(refused.value).partition("one of ")[2].split(", ")
    assert described("receive").keys() == set(known) == SAMPLES.keys()


@pytest.mark.parametrize("kind", SAMPLES)
def test_description_of_what_is_read_fits_the_reader(kind: str) -> None:
    sample, schema = SAMPLES[kind], described("receive")[kind]
    messages.parse(text(kind, sample))
    assert faults({"type": kind, **sample}, schema, sockets()) == []
    [struct] = [one for one in get_args(w.Received) if one.__struct_config__.tag == kind]
    fields = {field.encode_name: field.required for field in msgspec.structs.fields(struct)}
    assert fields.keys() == sample.keys(), "the sample has every field"
    for name, required in fields.items():
        without = {key: value for key, value in sample.items() if key != name}
        if not required:
            messages.parse(text(kind, without))
            continue
        assert faults({"type": kind, **without}, schema, sockets())
        with pytest.raises(RoomRefused, match=name):
            messages.parse(text(kind, without))


def test_states_that_are_described_are_those_that_are_read() -> None:
    [field] = [one for one in msgspec.structs.fields(w.State) if one.name == "state"]
    assert get_args(field.type) == messages.CONNECTION_STATES


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_what_is_written_is_described(event: ev.RoomEvent) -> None:
    message = json.loads(messages.render(event))
    schema = described("send")[message["type"]]
    assert faults(message, schema, sockets()) == []


def test_every_event_is_written_and_every_described_message_has_its_event() -> None:
    deliverable = set(ev.RoomEvent.__subclasses__())
    assert {type(event) for event in EVENTS} == deliverable
    written = {json.loads(messages.render(event))["type"] for event in EVENTS}
    assert described("send").keys() == written
