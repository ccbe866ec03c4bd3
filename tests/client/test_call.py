import asyncio
import base64
import json

import pytest

from softswitch import client
from softswitch.client import (
    Answer,
    AsrFinal,
    CallEndedError,
    CommandFailedError,
    ConnectionFailedError,
    ConnectionLostError,
    Dtmf,
    Error,
    Hangup,
    Resumed,
    State,
    TrackEnd,
)
from softswitch.dialects.rustpbx import parse


async def test_call_is_made_and_hung_up(pretence):
    switch, url = pretence
    async with client.connect(url, id="abc", token="secret", option={"caller": "1", "codec": "pcmu"}) as call:
        assert str(call.state) == "connected"
        assert call.id == "abc"
        assert call.answer is not None
    assert switch.queries == [{"id": "abc"}]
    assert switch.headers[0]["Authorization"] == "Bearer secret"
    assert switch.commands[0] == {"command": "invite", "option": {"caller": "1", "codec": "pcmu"}}
    assert switch.commands[-1]["command"] == "hangup"
    assert call.state is State.DISCONNECTED
    assert [state async for state in call.states()] == [State.CONNECTING, State.CONNECTED, State.DISCONNECTED]
    assert call.end is not None


async def test_events_are_all_seen_in_order_and_by_every_reader(pretence):
    switch, url = pretence
    switch.script["tts"] = [("trackStart", {"playId": "p"}), ("trackEnd", {"playId": "p", "duration": 40})]
    async with client.connect(url) as call:
        await call.say("hello", play_id="p")
        await call.wait(TrackEnd, 5, play_id="p")
        await call.hangup()
        names = [event.name async for event in call.events()]
        assert names == ["answer", "trackStart", "trackEnd", "hangup"]
        assert [event.name async for event in call.events()] == names


async def test_wait_returns_each_event_once_and_may_come_late(pretence):
    switch, url = pretence
    switch.script["tts"] = [("dtmf", {"digit": digit}) for digit in "123"]
    async with client.connect(url) as call:
        await call.say("press")
        assert (await call.wait("dtmf", 5)).track_id == ""
        assert (await call.wait(Dtmf, 5, digit="3")).digit == "3"
        assert (await call.wait(Dtmf, 5)).digit == "2"
        with pytest.raises(TimeoutError):
            await call.wait(Dtmf, 0.01)


async def test_wait_ends_with_the_call(pretence):
    switch, url = pretence
    async with client.connect(url) as call:
        waiting = asyncio.create_task(call.wait(AsrFinal))
        await asyncio.sleep(0)
        await switch.say("hangup", reason="busy", initiator="callee")
        await switch.sockets[-1].close()
        with pytest.raises(CallEndedError, match="busy") as ended:
            await waiting
        assert (ended.value.reason, ended.value.initiator) == ("busy", "callee")
        with pytest.raises(CallEndedError):
            await call.say("hello?")
        await call.hangup()


COMMANDS = [
    (lambda call: call.say("hi", speaker="a", auto_hangup=True), "tts",
     {"text": "hi", "speaker": "a", "autoHangup": True}),
    (lambda call: call.play("http://x/a.wav", loop=True, layer="bed", gain=0.5), "play",
     {"url": "http://x/a.wav", "loop": True, "layer": "bed", "gain": 0.5}),
    (lambda call: call.interrupt(fade_ms=20), "interrupt", {"fadeOutMs": 20}),
    (lambda call: call.pause(), "pause", {}),
    (lambda call: call.resume(), "resume", {}),
    (lambda call: call.mute("t"), "mute", {"trackId": "t"}),
    (lambda call: call.unmute(), "unmute", {}),
    (lambda call: call.mark("half"), "mark", {"name": "half"}),
    (lambda call: call.dtmf("12#"), "dtmf", {"digits": "12#"}),
    (lambda call: call.collect(max_digits=4, timeout_ms=100), "collect", {"maxDigits": 4, "timeoutMs": 100}),
    (lambda call: call.candidates(["candidate:1"]), "candidate", {"candidates": ["candidate:1"]}),
    (lambda call: call.ring(early_media=True), "ringing", {"earlyMedia": True}),
    (lambda call: call.refer("sip:a@b", options={"timeout": 9}), "refer",
     {"callee": "sip:a@b", "options": {"timeout": 9}}),
    (lambda call: call.bridge("other"), "bridge", {"targetSessionId": "other"}),
    (lambda call: call.unbridge(), "unbridge", {}),
    (lambda call: call.history("user", "hi"), "history", {"speaker": "user", "text": "hi"}),
    (lambda call: call.message("hi"), "message", {"body": "hi"}),
    (lambda call: call.custom({"a": [1]}, "me"), "custom", {"data": {"a": [1]}, "sender": "me"}),
    (lambda call: call.say_pcm(b"\1\0", sample_rate=8000), "tts",
     {"text": base64.b64encode(b"\1\0").decode(), "base64": True, "option": {"samplerate": 8000}}),
]  # fmt: skip


@pytest.mark.parametrize(("give", "name", "body"), COMMANDS, ids=[name for _, name, _ in COMMANDS])
async def test_command_goes_out_in_the_wires_spelling(pretence, give, name, body):
    switch, url = pretence
    async with client.connect(url) as call:
        await give(call)
        [sent] = switch.sent(name)
        assert sent.pop("requestId")
        assert sent == {"command": name, **body}


async def test_every_command_of_a_client_is_one_the_switch_can_parse(pretence):
    switch, url = pretence
    async with client.connect(url) as call:
        for give, _, _ in COMMANDS:
            await give(call)
        await call.accept({"codec": "pcm"})
        await call.reject(code=486, reason="busy")
    for command in switch.commands:
        parse(json.dumps(command))


async def test_refused_command_is_raised_and_the_call_goes_on(pretence):
    switch, url = pretence
    switch.replies["play"] = "url: not allowed"
    async with client.connect(url) as call:
        with pytest.raises(CommandFailedError, match="url: not allowed") as failed:
            await call.play("http://x")
        assert (failed.value.code, failed.value.sender) == (400, "play")
        assert call.state is State.CONNECTED
        await call.hangup()
        assert not [event async for event in call.events() if isinstance(event, Error)]


async def test_command_that_is_never_acknowledged_times_out(pretence):
    switch, url = pretence
    switch.acknowledges = False
    async with client.connect(url, command_timeout_s=0.05) as call:
        with pytest.raises(TimeoutError):
            await call.pause()
    async with client.connect(url, acknowledge=False) as call:
        await call.pause()
    assert "requestId" not in switch.sent("pause")[-1]


async def test_command_that_is_no_json_is_refused(pretence):
    _, url = pretence
    async with client.connect(url) as call:
        with pytest.raises(CommandFailedError, match="JSON"):
            await call.custom(object())


async def test_streamed_text_ends_with_its_terminator(pretence):
    switch, url = pretence

    async def written():
        for word in ("One ", "two. ", "Three."):
            yield word

    async with client.connect(url) as call:
        await call.say_stream(written(), play_id="s")
    texts = [(command["text"], command.get("endOfStream")) for command in switch.sent("tts")]
    assert texts == [("One ", None), ("two. ", None), ("Three.", None), ("", True)]


async def test_audio_goes_both_ways(pretence):
    switch, url = pretence
    async with client.connect(url) as call:
        assert call.audio_format.sample_rate == 16000
        await switch.sockets[-1].send_bytes(b"\1\2" * 320)
        assert await anext(call.audio()) == b"\1\2" * 320
        await call.send(b"\0\1" * 7)
        loop = asyncio.get_running_loop()
        begin = loop.time()
        await call.stream(bytes(640 * 12))
        assert loop.time() - begin >= 0.1
        await call.hangup()
        assert [data async for data in call.audio()] == []
    assert switch.audio == [b"\0\1" * 7] + [bytes(640)] * 12


async def test_refused_connection_says_why(pretence):
    switch, url = pretence
    switch.refuse_with = 401
    with pytest.raises(ConnectionFailedError, match="answered 401") as failed:
        async with client.connect(url):
            pass
    assert failed.value.status == 401


async def test_unreachable_switch_says_so(unused_tcp_port):
    with pytest.raises(ConnectionFailedError, match="cannot be reached"):
        async with client.connect(f"ws://127.0.0.1:{unused_tcp_port}/call"):
            pass


async def test_switch_that_does_not_answer_says_so(pretence):
    switch, url = pretence
    switch.ready.clear()
    with pytest.raises(ConnectionFailedError, match="did not answer within"):
        async with client.connect(url, connect_timeout_s=0.05):
            pass
    switch.ready.set()


async def test_rejected_call_says_why(pretence):
    switch, url = pretence
    switch.first_events = [("ringing", {}), ("reject", {"code": 486, "reason": "busy"})]
    with pytest.raises(CallEndedError, match="486 busy"):
        async with client.connect(url):
            pass


async def test_refused_invite_says_why(pretence):
    switch, url = pretence
    switch.first_events = [("error", {"sender": "invite", "error": "option.codec: unknown"})]
    closing = asyncio.create_task(_close_soon(switch))
    with pytest.raises(ConnectionFailedError, match=r"option\.codec: unknown"):
        async with client.connect(url):
            pass
    await closing


async def _close_soon(switch):
    while not switch.kept:
        await asyncio.sleep(0.01)
    await switch.sockets[-1].close(code=1008)


async def test_nobody_answers_in_time(pretence):
    switch, url = pretence
    switch.first_events = [("ringing", {"earlyMedia": False})]
    with pytest.raises(TimeoutError):
        async with client.connect(url, answer_timeout_s=0.05):
            pass


async def test_ringing_can_be_seen_before_the_answer(pretence):
    switch, url = pretence
    switch.first_events = [("ringing", {"earlyMedia": False}), ("answer", switch.answer)]
    async with client.connect(url, answer_timeout_s=None) as call:
        assert call.state is State.CONNECTING
        assert [event.name async for event in _first(call, 2)] == ["ringing", "answer"]
        assert isinstance(await call.answered(5), Answer)


async def _first(call, count):
    async for event in call.events():
        yield event
        count -= 1
        if not count:
            return


async def test_pending_call_is_taken_without_a_first_command(pretence):
    switch, url = pretence
    async with client.connect(url, id="dialog-1", command=None) as call:
        await switch.say("incoming", caller="1", callee="2", sdp="v=0")
        assert (await call.wait("incoming", 5)).name == "incoming"
        await call.accept({"codec": "pcma"})
        await call.answered(5)
    assert switch.commands[0] == {"command": "accept", "option": {"codec": "pcma"}}


async def test_lost_socket_fails_the_call_where_no_return_was_asked_for(pretence):
    switch, url = pretence
    async with client.connect(url) as call:
        waiting = asyncio.create_task(call.pause())
        switch.acknowledges = False
        await asyncio.sleep(0)
        await switch.lose()
        with pytest.raises(ConnectionLostError):
            await asyncio.gather(waiting, call.wait(Hangup, 5))
        assert call.state is State.FAILED
        await call.send(b"\0\0")
        assert call.unsent == 1
    assert call.state is State.FAILED


async def test_lost_socket_is_replaced_and_missed_events_are_replayed(pretence):
    switch, url = pretence
    async with client.connect(url, id="abc", resume_s=10) as call:
        await call.mark("before")
        await switch.lose()
        await switch.say("asrFinal", text="said meanwhile")
        assert (await call.wait(AsrFinal, 10)).text == "said meanwhile"
        await call.wait("resumed", 10)
        await call.mark("after")
        assert call.state is State.CONNECTED
        await switch.lose()
        await call.wait("resumed", 10)
    assert switch.queries[0] == {"id": "abc", "resume": "10"}
    assert switch.queries[1] == {"id": "abc", "resume": "token-1", "seq": "2"}
    assert switch.queries[2]["resume"] == "token-1+"
    states = [state async for state in call.states()]
    assert states == ["connecting", "connected", *["reconnecting", "connected"] * 2, "disconnected"]
    numbers = [event.seq async for event in call.events() if event.seq and not isinstance(event, Resumed)]
    assert numbers == sorted(set(numbers))


async def test_command_waits_while_reconnecting(pretence):
    switch, url = pretence
    async with client.connect(url, resume_s=10) as call:
        await switch.lose()
        async for state in call.states():
            if state is State.RECONNECTING:
                break
        await call.mark("patient")
        assert [command["name"] for command in switch.sent("mark")] == ["patient"]


async def test_switch_that_knows_the_call_no_more_ends_it(pretence):
    switch, url = pretence
    async with client.connect(url, resume_s=10) as call:
        switch.refuse_with = 404
        await switch.lose()
        with pytest.raises(ConnectionLostError):
            await call.wait(Hangup, 10)
        assert call.state is State.FAILED


async def test_switch_that_is_away_is_tried_until_the_time_is_up(pretence):
    switch, url = pretence
    async with client.connect(url, resume_s=1) as call:
        switch.refuse_with = 502
        await switch.lose()
        with pytest.raises(ConnectionLostError):
            await call.wait(Hangup, 10)
        assert len(switch.queries) > 3


async def test_close_that_was_meant_is_not_argued_with(pretence):
    switch, url = pretence
    async with client.connect(url, resume_s=10) as call:
        await switch.sockets[-1].close(code=1000, message=b"replaced by another connection")
        with pytest.raises(ConnectionLostError, match="1000"):
            await call.wait(Hangup, 10)
    assert len(switch.queries) == 1


async def test_what_is_no_event_is_told_and_survived(pretence):
    switch, url = pretence
    async with client.connect(url) as call:
        await switch.sockets[-1].send_str("rubbish")
        assert (await call.wait(Error, 5)).sender == "client"
        await call.pause()


async def test_error_inside_the_block_is_the_applications_own(pretence):
    switch, url = pretence
    with pytest.raises(ZeroDivisionError):
        async with client.connect(url):
            raise ZeroDivisionError
    assert switch.sent("hangup")


async def test_new_offer_brings_a_new_answer(pretence):
    switch, url = pretence
    switch.script["offer"] = [("answer", {"sdp": "v=0 second"})]
    async with client.connect(url) as call:
        await call.wait(Answer, 5)
        assert (await call.renegotiate("v=0 again")).sdp == "v=0 second"


async def test_call_shows_itself_in_a_log(pretence):
    _, url = pretence
    async with client.connect(url, id="abc") as call:
        assert repr(call) == "<Call abc connected>"
