"""Section 3: rules for every message.

Every client of these tests checks each event it gets (`tests/support/wire.py`): integers, no nulls, known
fields, a trackId on errors, times of the present, seq without a gap. Here is what takes more than that.
"""

import asyncio
import uuid
from typing import Any

import pytest

from tests.conformance.conftest import Switch
from tests.support import sound
from tests.support.client import calling
from tests.support.servers import Files
from tests.support.wire import faults, sequence_faults

FIELD_CLIENT: dict[str, Any] = {
    "asr": {"provider": "tencent"},
    "tts": {"provider": "tencent", "speaker": "601003"},
    "vad": {"type": "silero"},
    "denoise": True,
}
"""What a client in the field always sends."""


@pytest.mark.row("3:integers", "3:no-nulls", "3:epoch", "3:error-track", "3:seq")
def test_check_of_every_event_finds_what_it_should() -> None:
    good = {"event": "error", "trackId": "a", "timestamp": _now(), "sender": "x", "error": "y", "seq": 1}
    assert faults(good) == []
    for change in (
        {"timestamp": float(_now())},
        {"timestamp": _now() // 1000},
        {"error": None},
        {"code": 4.5},
        {"code": True},
        {"more": 1},
    ):
        assert faults({**good, **change})
    assert faults({key: value for key, value in good.items() if key != "trackId"})
    assert sequence_faults([good, {**good, "seq": 2}]) == []
    assert sequence_faults([good, good])


def _now() -> int:
    import time  # noqa: PLC0415

    return int(time.time() * 1000)


@pytest.mark.row("3:track-ids", "3:play-ids", "3:answer-sdp")
@pytest.mark.parametrize("route", ["/call", "/call/webrtc"])
async def test_track_ids_tell_the_party_from_the_machine(switch: Switch, route: str) -> None:
    async with switch.phone(route, id=(name := uuid.uuid4().hex)) as client:
        answer = await client.call(vad=False)
        assert answer["trackId"] == name
        assert isinstance(answer["sdp"], str)
        assert (answer["sdp"] == "") == (route == "/call")
        await client.send("tts", text="Hello there.", playId="p1", endOfStream=True)
        start = await client.wait("trackStart", lambda event: event["trackId"] != name)
        end = await client.wait("trackEnd")
        for event in (start, end):
            assert (event["trackId"], event["playId"]) == ("server-side-track", "p1")
        hangup = await client.hang_up()
        assert hangup["trackId"] == name


@pytest.mark.row("3:layer-ids", "4:layer", "6:layers")
async def test_layers_sound_at_the_same_time_under_their_own_track_ids(switch: Switch, files: Files) -> None:
    low = files.put("low.wav", sound.wav(sound.tone(400, 3)))
    high = files.put("high.wav", sound.wav(sound.tone(2000, 3)))
    async with calling(switch.socket_url("/call"), vad=False) as client:
        await client.send("play", url=low, playId="a")
        await client.wait("trackStart", lambda event: event.get("playId") == "a")
        await client.send("play", url=high, playId="b", layer="bed")
        start = await client.wait("trackStart", lambda event: event.get("playId") == "b")
        assert start["trackId"] == "server-side-track-bed"
        await asyncio.sleep(0.3)
        both = await client.hear(1.0)
        assert sound.share(both, 400) > 0.1
        assert sound.share(both, 2000) > 0.1
        assert client.count("interruption") == 0
        await client.send("interrupt", playId="b")
        cut = await client.wait("interruption")
        assert cut["trackId"] == "server-side-track-bed"
        await asyncio.sleep(0.3)
        one = await client.hear(0.5)
        assert sound.share(one, 400) > 0.9


@pytest.mark.row("3:hangup-times", "8:hangup")
async def test_hangup_carries_times_and_parties(switch: Switch) -> None:
    async with calling(switch.socket_url("/call"), caller="alice", callee="bob") as client:
        await asyncio.sleep(0.1)
        hangup = await client.hang_up()
    assert hangup["startTime"] <= hangup["answerTime"] < hangup["hangupTime"]
    assert hangup["from"] == {"username": "alice", "realm": "", "source": "alice"}
    assert hangup["to"]["username"] == "bob"


@pytest.mark.row("3:request-id", "8:ack")
async def test_command_with_a_request_id_is_answered_by_ack_or_error(switch: Switch) -> None:
    async with calling(switch.socket_url("/call")) as client:
        await client.send("history", speaker="user", text="x", requestId="r1")
        assert (await client.wait("ack"))["requestId"] == "r1"
        await client.send("play", requestId="r2")
        assert (await client.wait("error"))["requestId"] == "r2"
        await client.send("bridge", targetSessionId="unknown", requestId="r3")
        assert (await client.wait("error"))["requestId"] == "r3"
        await client.send("dance", requestId="r4")
        assert (await client.wait("error"))["requestId"] == "r4"
        await client.hang_up(requestId="r5")
        assert [event["requestId"] for event in client.all("ack")] == ["r1", "r5"]


@pytest.mark.row("3:degrade", "3:field-client", "2:order")
@pytest.mark.parametrize("route", ["/call", "/call/webrtc"])
async def test_unknown_speech_degrades_after_the_answer_and_the_machine_speaks(
    switch: Switch, route: str
) -> None:
    async with switch.phone(route) as client:
        await client.call(**FIELD_CLIENT)
        assert client.names()[0] == "answer"
        await client.send("tts", text="Good morning.", speaker="601003", playId="p", endOfStream=True)
        end = await client.wait("trackEnd", lambda event: event.get("playId") == "p")
        assert end["duration"] > 300
        assert sound.level(client.heard()) > 100
        await client.hang_up()
    assert client.count("hangup") == 1
    senders = [event["sender"] for event in client.all("error")]
    assert set(senders) <= {"asr", "tts"}
    assert len(senders) == len({(event["sender"], event["error"]) for event in client.all("error")}), (
        "each once"
    )


@pytest.mark.row("3:degrade", "4:option-asr", "4:option-tts", "4:option-vad")
@pytest.mark.parametrize(
    ("option", "sender"),
    [
        ({"asr": {"provider": "no-such"}}, "asr"),
        ({"asr": {"provider": "builtin", "model": "no-such"}}, "asr"),
        ({"asr": {"provider": "builtin", "language": "xx-XX"}}, "asr"),
        ({"vad": {"type": "no-such"}}, "vad"),
    ],
)
async def test_unknown_part_of_speech_is_one_error_after_the_answer(
    switch: Switch, option: dict[str, Any], sender: str
) -> None:
    async with calling(switch.socket_url("/call"), **option) as client:
        error = await client.wait("error")
        assert error["sender"] == sender
        await client.send("mark", name="alive")
        await client.wait("mark")
        await client.hang_up()
    assert client.names()[0] == "answer"
    assert client.count("error") == 1


@pytest.mark.row("3:degrade", "4:option-tts")
@pytest.mark.parametrize(
    "option", [{"provider": "no-such"}, {"speaker": "no-such"}, {"provider": "builtin", "language": "xx-XX"}]
)
async def test_unknown_voice_speaks_with_the_built_in_one(switch: Switch, option: dict[str, str]) -> None:
    async with calling(switch.socket_url("/call"), tts=option, vad=False) as client:
        await client.send("tts", text="Hello.", playId="p", endOfStream=True)
        await client.wait("trackEnd", lambda event: event.get("playId") == "p")
        assert sound.level(client.heard()) > 100
        await client.hang_up()
    assert client.names()[0] == "answer"
    assert client.count("error") <= 1


@pytest.mark.row("3:metrics-data", "8:metrics")
async def test_metrics_tell_the_time_to_the_first_sound(switch: Switch) -> None:
    async with calling(switch.socket_url("/call"), vad=False) as client:
        await client.send("tts", text="A text that was never spoken before.", playId="p", endOfStream=True)
        metric = await client.wait("metrics", lambda event: event["key"].startswith("ttfb.tts."))
        assert isinstance(metric["data"], dict)
        assert 0 <= metric["duration"] < 5000
        await client.hang_up()
