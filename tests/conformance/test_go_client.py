"""The Go client of RustPBX and active-call: the frames that it sends, and what it decodes.

Its commands are written here as Go's `encoding/json` writes its structs with every field set. Its events are
structs with its types, read as strictly as Go reads them: a number is no text, `uint64` has no sign.
"""

import json
import uuid
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta

from tests.conformance.conftest import Switch
from tests.support import sound
from tests.support.servers import Files

Uint = Annotated[int, Meta(ge=0)]
Uint32 = Annotated[int, Meta(ge=0, lt=2**32)]
Text = dict[str, str]


class Attendee(msgspec.Struct):
    username: str
    realm: str
    source: str


def struct(*fields: tuple[str, Any], **needed: Any) -> type[msgspec.Struct]:
    """Return a struct: fields of a type that must be there, and those that may be absent or null."""
    optional = [(name, kind | None, None) for name, kind in fields]
    return msgspec.defstruct("Event", [*needed.items(), *optional])


TIMED: dict[str, Any] = {"timestamp": Uint}
TRACK = {"trackId": str, **TIMED}
EVENTS: dict[str, type[msgspec.Struct]] = {
    "incoming": struct(caller=str, callee=str, sdp=str, **TRACK),
    "answer": struct(("refer", bool), sdp=str, **TRACK),
    "reject": struct(("refer", bool), ("code", Uint32), reason=str, **TRACK),
    "ringing": struct(("refer", bool), earlyMedia=bool, **TRACK),
    "hangup": struct(
        ("from", Attendee), ("to", Attendee), ("answerTime", str), ("ringingTime", str), ("refer", bool),
        ("extra", dict[str, Any]), reason=str, initiator=str, startTime=str, hangupTime=str, **TIMED,
    ),
    "speaking": struct(startTime=Uint, **TRACK),
    "silence": struct(startTime=Uint, duration=Uint, **TRACK),
    "dtmf": struct(digit=str, **TRACK),
    "trackStart": struct(("playId", str), **TRACK),
    "trackEnd": struct(("playId", str), duration=Uint, **TRACK),
    "interruption": struct(
        ("playId", str), ("subtitle", str), ("position", Uint32), totalDuration=Uint32, current=Uint32,
        **TRACK,
    ),
    "asrFinal": struct(("taskId", str), startTime=Uint, endTime=Uint, index=Uint32, text=str, **TRACK),
    "asrDelta": struct(("taskId", str), startTime=Uint, endTime=Uint, index=Uint32, text=str, **TRACK),
    "metrics": struct(key=str, duration=Uint32, data=dict[str, Any], **TIMED),
    "error": struct(("code", Uint32), sender=str, error=str, **TRACK),
    "eou": struct(("complete", bool), ("interruptPoint", str), **TRACK),
    "addHistory": struct(("sender", str), speaker=str, text=str, **TIMED),
    "custom": struct(("extra", Text), **TRACK),
}  # fmt: skip
"""Events that the client knows; its example reads `startTime` and `endTime` without a check."""

SIP = {"username": "u", "password": "p", "realm": "r", "contact": "c", "headers": {"X-Go": "1"}}
ASR = {
    "provider": "builtin", "model": "moonshine", "language": "en", "appId": "a", "secretId": "b",
    "secretKey": "c", "modelType": "moonshine", "bufferSize": 100, "sampleRate": 16000, "endpoint": "e",
    "extra": {"k": "v"}, "startWhenAnswer": True,
}  # fmt: skip
TTS = {
    "samplerate": 16000, "provider": "builtin", "speed": 1.5, "appId": "a", "secretId": "b",
    "secretKey": "c", "volume": 5, "speaker": "slt", "codec": "pcm", "subtitle": True, "emotion": "calm",
    "endpoint": "e", "extra": {"k": "v"}, "waitInputTimeout": 900, "maxConcurrentTasks": 3,
}  # fmt: skip
OPTION = {
    "denoise": True, "callee": "sip:bob@example.org", "caller": "sip:alice@example.org",
    "recorder": {"recorderFile": "go.wav", "samplerate": 16000, "ptime": 20},
    "vad": {
        "type": "silero", "samplerate": 16000, "speechPadding": 120, "silencePadding": 200, "ratio": 0.5,
        "voiceThreshold": 0.5, "maxBufferDurationSecs": 50, "endpoint": "e", "secretKey": "s",
        "secretId": "i", "silenceTimeout": 1000,
    },
    "asr": ASR, "tts": TTS, "handshakeTimeout": 30, "inactivityTimeout": 50, "enableIpv6": True, "sip": SIP,
    "extra": {"k": "v"},
    "eou": {
        "type": "x", "endpoint": "e", "secretKey": "s", "secretId": "i", "timeout": 400, "extra": {"k": "v"},
    },
    "subscribe": True,
}  # fmt: skip


def decoded(events: list[dict[str, Any]]) -> list[str]:
    """Decode events as the client does; return the names of those it has."""
    known = [event for event in events if event["event"] in EVENTS]
    for event in known:
        try:
            msgspec.convert(event, EVENTS[event["event"]])
        except msgspec.ValidationError as error:
            raise AssertionError(f"{error}: {json.dumps(event)}") from None
    return [event["event"] for event in known]


async def test_frames_with_every_field_are_taken_and_every_event_is_decoded(
    switch: Switch, files: Files
) -> None:
    name = uuid.uuid4().hex
    wav = files.put("go.wav", sound.wav(sound.tone(440, 0.4)))
    # As the client connects: `?id=`, then `&dump=true`.
    async with switch.client("/call", id=name, dump="true") as client:
        await client.send("invite", option={**OPTION, "callee": "bob"})
        await client.wait("answer")
        await client.send("history", speaker="bot", text="hi")
        await client.send(
            "tts", text="Good morning to you all.", speaker="slt", playId="1", endOfStream=True, option=TTS,
            waitInputTimeout=900,
        )  # fmt: skip
        await client.wait("trackStart", lambda event: event.get("playId") == "1")
        await client.send("pause")
        await client.send("resume")
        await client.send("mute", trackId=name)
        await client.send("unmute")
        await client.send("interrupt", graceful=True)
        await client.send("play", url=wav, waitInputTimeout=900)
        await client.wait("trackEnd", lambda event: event.get("playId") == wav)
        await client.speak(sound.tone(300, 0.6))
        await client.hang_up(reason="bye")
        names = decoded(client.events)
        errors = [event for event in client.events if event["event"] == "error"]
    assert {"answer", "addHistory", "trackStart", "trackEnd", "metrics", "hangup"} <= set(names)
    assert errors == []
    hangup = client.events[-1]
    assert hangup["from"] == {"username": "alice", "realm": "example.org", "source": "sip:alice@example.org"}
    assert hangup["to"]["username"] == "bob"


async def test_refer_is_told_with_refer_and_an_option_that_is_not_built_is_named(switch: Switch) -> None:
    async with switch.client("/call") as client:
        await client.send("invite", option={"ringbackDetection": {"enabled": True, "minBufferSecs": 6}})
        await client.wait("answer")
        error = await client.wait("error")
        assert error["error"].startswith("ringbackDetection:")
        options = {"denoise": True, "timeout": 5, "moh": "", "autoHangup": False, "sip": {}, "asr": None}
        await client.send("refer", caller="sip:a@x.org", callee="echo", options=options)
        answer = await client.wait("answer")
        assert answer["refer"] is True
        assert set(decoded(client.events)) >= {"answer", "error"}
        await client.hang_up()


@pytest.mark.parametrize("fault", [{"timestamp": "1"}, {"duration": -1}, {"playId": 5}])
def test_decoder_is_as_strict_as_go(fault: dict[str, Any]) -> None:
    good = {"event": "trackEnd", "trackId": "a", "timestamp": 1, "duration": 2}
    assert decoded([good]) == ["trackEnd"]
    with pytest.raises(AssertionError):
        decoded([{**good, **fault}])
