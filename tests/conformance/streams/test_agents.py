"""Speech-to-speech services on a running switch, against servers that check every message."""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.conformance.conftest import StartSwitch, Switch
from tests.support import sound
from tests.support.agent_bots import AGENTS, Agent, ElevenLabs, Gemini, OpenAi
from tests.support.client import Client, calling
from tests.support.control import Control, Hooks
from tests.support.dialect_bots import DialectBot, Talk
from tests.support.ports import free_port
from tests.support.rooms import Browser, Rest, tones

WORDS = "alpha bravo chart delta eagle fresh guard hotel india joker"
"""Ten words of five letters: each is a tenth of the audio."""
SECONDS = 4.0
EACH = [pytest.param(one, id=one.name) for one in AGENTS]


@pytest.fixture(params=EACH)
async def bot(request: pytest.FixtureRequest) -> AsyncIterator[DialectBot]:
    async with DialectBot(request.param) as service:
        yield service


@pytest.fixture
def kind(request: pytest.FixtureRequest, bot: DialectBot) -> type[Agent]:
    kind: type[Agent] = request.node.callspec.params["bot"]
    return kind


def passing(bot: DialectBot, kind: type[Agent], **more: object) -> dict[str, Any]:
    """Return the option of an invite whose audio goes to a service."""
    return {
        "mediaPass": {"url": bot.url, "protocol": kind.name, "session": kind.session, **more},
        "vad": False,
    }


async def connected(bot: DialectBot, client: Client) -> Talk:
    """Return the connection to the service, once it may speak."""
    await client.wait("stream", lambda event: event["status"] == "started")
    return bot.talks[-1]


async def speak(talk: Talk, text: str, seconds: float) -> None:
    """Let the service say a text, as a tone of some length."""
    agent = agent_of(talk)
    data = agent.code(sound.tone(500, seconds, agent.rate))
    for message in agent.said(text, data):
        await talk.send(message)


async def send(talk: Talk, messages: list[str | bytes]) -> None:
    for message in messages:
        await talk.send(message)


async def louder(client: Client, ms: int) -> None:
    """Wait until the client has heard so much."""
    await client.until(lambda: sound.loud_ms(client.heard()) > ms, what="nothing is heard")


async def asked(talk: Talk, count: int) -> None:
    """Wait until the switch has asked for so many responses."""
    await talk.until(lambda: agent_of(talk).asked == count, "no response was asked for")


def agent_of(talk: Talk) -> Agent:
    assert isinstance(talk.protocol, Agent)
    return talk.protocol


async def test_settings_of_the_request_reach_the_service(switch: Switch, bot, kind) -> None:
    async with calling(switch.socket_url("/call"), **passing(bot, kind)) as client:
        talk = await connected(bot, client)

        def within(part: Any, whole: Any) -> bool:
            if isinstance(part, dict):
                return all(within(value, whole[name]) for name, value in part.items())
            return bool(part == whole)

        assert within(kind.session, getattr(talk.protocol, "settings", {}))
        await client.hang_up()
        await talk.until(lambda: talk.over, "the switch did not close")


async def test_what_both_sides_said_is_told(switch: Switch, bot, kind) -> None:
    async with calling(switch.socket_url("/call"), **passing(bot, kind)) as client:
        talk = await connected(bot, client)
        await client.speak(sound.silence(0.1))
        await talk.until(lambda: talk.pieces, "no audio comes")
        await send(talk, agent_of(talk).heard("What time is it?"))
        await speak(talk, "It is nine.", 0.4)
        await send(talk, agent_of(talk).end())
        final = await client.wait("asrFinal")
        assert (final["text"], final["index"]) == ("What time is it?", 0)
        assert final["endTime"] - final["startTime"] == (600 if kind is OpenAi else 0)
        line = await client.wait("addHistory")
        assert (line["speaker"], line["text"]) == ("agent", "It is nine.")
        assert sound.loud_ms(client.heard()) > 350
        assert client.count("interruption") == 0
        await client.hang_up()


async def test_interruption_cuts_the_words_where_the_party_heard_them_end(switch: Switch, bot, kind) -> None:
    async with calling(switch.socket_url("/call"), **passing(bot, kind)) as client:
        talk = await connected(bot, client)
        await speak(talk, WORDS, SECONDS)
        await send(talk, agent_of(talk).end())
        await louder(client, 1000)
        await talk.send(agent_of(talk).clear())
        cut = await client.wait("interruption")
        assert cut["totalDuration"] == SECONDS * 1000
        # Each word is 6 of 59 characters, with its space; a word counts when it was heard whole.
        each = SECONDS * 1000 / 59
        ends = [each * (6 * number + 5) for number in range(10)]
        words = sum(end <= cut["position"] for end in ends)
        assert cut["subtitle"] == " ".join(WORDS.split()[:words])
        assert 2 <= words < 10
        assert (await client.wait("addHistory"))["text"] == cut["subtitle"]
        # What was heard is what the client got: a tick, the fade and the edges of the tone aside.
        heard_ms = sound.loud_ms(client.heard())
        assert abs(heard_ms - cut["position"]) < 60, (heard_ms, cut["position"])
        if kind.truncates:
            await talk.until(lambda: agent_of(talk).truncated, "the service was not told")
            assert agent_of(talk).truncated == [("item_1", cut["position"])]
        if kind is ElevenLabs:
            await talk.until(lambda: agent_of(talk).notes, "the service was not told")
            assert cut["subtitle"] in agent_of(talk).notes[0]
        # The next answer is heard whole, and told whole.
        await speak(talk, "Go on.", 0.5)
        await send(talk, agent_of(talk).end())
        assert (await client.wait("addHistory"))["text"] == "Go on."
        await client.hang_up()


async def test_two_interruptions_in_a_row_are_counted_from_their_own_begin(switch: Switch, bot, kind) -> None:
    async with calling(switch.socket_url("/call"), **passing(bot, kind)) as client:
        talk = await connected(bot, client)
        positions = []
        for _ in range(2):
            before = sound.loud_ms(client.heard())
            await speak(talk, WORDS, SECONDS)
            await louder(client, before + 300)
            await talk.send(agent_of(talk).clear())
            cut = await client.wait("interruption")
            positions.append(cut["position"])
            assert abs(sound.loud_ms(client.heard()) - before - cut["position"]) < 60
        assert all(300 < position < SECONDS * 1000 for position in positions)
        await client.hang_up()


async def test_tool_calls_go_to_the_application_and_results_back(switch: Switch, bot, kind) -> None:
    async with calling(switch.socket_url("/call"), **passing(bot, kind)) as client:
        talk = await connected(bot, client)
        for tool, fields, result in (
            ("t1", {"result": {"open": "9-17"}}, ("t1", {"open": "9-17"}, False)),
            ("t2", {"result": "no such day", "failed": True}, ("t2", "no such day", True)),
        ):
            await send(talk, agent_of(talk).tool(tool, "opening_hours", {"day": "monday", "n": [1, 2]}))
            call = await client.wait("toolCall")
            assert (call["toolCallId"], call["name"], call["status"]) == (tool, "opening_hours", "requested")
            assert call["arguments"] == {"day": "monday", "n": [1, 2]}
            await client.send("toolResult", toolCallId=tool, requestId=tool, **fields)
            await client.wait("ack")
            await talk.until(lambda: agent_of(talk).results, "no result")
            assert agent_of(talk).results.pop() == result
            if kind is OpenAi:  # The switch asks for the response that uses the result.
                await asked(talk, int(tool[1]))
                await send(talk, agent_of(talk).end())
        await client.send("toolResult", toolCallId="t1", result=1, requestId="again")
        error = await client.wait("error")
        assert (error["code"], error["requestId"]) == (404, "again")
        assert "toolCallId" in error["error"]
        await client.hang_up()


async def test_service_that_is_cut_in_mid_word_is_heard_to_what_it_sent(switch: Switch, bot, kind) -> None:
    async with calling(switch.socket_url("/call"), **passing(bot, kind)) as client:
        talk = await connected(bot, client)
        await speak(talk, "I was about to", 0.8)
        await louder(client, 100)
        talk.cut()
        assert (await client.wait("addHistory"))["text"] == "I was about to"
        over = await client.wait("stream", lambda event: event["status"] != "started")
        assert over["status"] == "lost"
        assert sound.loud_ms(client.heard()) > 740
        await client.hang_up()


@pytest.mark.parametrize("kind", EACH)
async def test_refused_key_is_told_without_the_key_and_a_busy_service_is_tried_again(
    start_switch: StartSwitch, kind: type[Agent]
) -> None:
    async with DialectBot(kind, statuses=(401,)) as closed, DialectBot(kind, statuses=(429,)) as busy:
        rows = [{"protocol": kind.name, "url": bot.url, "token": "canary-key"} for bot in (closed, busy)]
        switch = start_switch({"stream": rows})
        option = passing(closed, kind)
        if kind.name == "ultravox":
            del option["mediaPass"]["session"]
        async with calling(switch.socket_url("/call"), **option) as client:
            failed = await client.wait("stream")
            assert failed["status"] == "failed"
            assert "401" in failed["reason"]
            assert len(closed.requests) == 1
            assert "canary" not in json.dumps(client.events)
            await client.hang_up()
        option["mediaPass"]["url"] = busy.url
        async with calling(switch.socket_url("/call"), **option) as client:
            await connected(busy, client)
            assert len(busy.requests) == 2
            assert busy.requests[-1].headers[kind.key_header] == kind.key_form.format("canary-key")
            await client.hang_up()
        # A key that the request brings is used instead.
        option["mediaPass"]["headers"] = {kind.key_header: "own"}
        async with calling(switch.socket_url("/call"), **option) as client:
            await connected(busy, client)
            assert busy.requests[-1].headers.getall(kind.key_header) == ["own"]
            await client.hang_up()


@pytest.mark.parametrize("kind", [pytest.param(OpenAi, id="openai"), pytest.param(Gemini, id="gemini")])
async def test_switch_detects_speech_where_the_service_is_not_to(switch: Switch, kind: type[Agent]) -> None:
    off: dict[str, Any] = {"audio": {"input": {"turn_detection": None}}}
    if kind is Gemini:
        off = {"realtimeInputConfig": {"automaticActivityDetection": {"disabled": True}}}
    async with DialectBot(kind) as bot:
        option = passing(bot, kind, session=off) | {"vad": {"type": "energy"}}
        async with calling(switch.socket_url("/call"), **option) as client:
            talk = await connected(bot, client)
            await client.speak(sound.silence(0.5))
            assert not talk.pieces, "silence is sent"
            await speak(talk, WORDS, SECONDS)
            await louder(client, 300)
            await client.speak(sound.join(sound.tone(300, 0.8), sound.silence(1.0)))
            cut = await client.wait("interruption")
            assert 300 < cut["position"] < SECONDS * 1000
            kinds = [
                next(iter(one.get("realtimeInput", {"": 0}))) or one.get("type") for one in talk.messages
            ]
            if kind is Gemini:
                await talk.until(lambda: "activityEnd" in str(talk.messages[-1]), "the end is not told")
                turn = [name for name in kinds if name != "audio"]
                assert turn[-1:] == ["activityStart"] or turn[-2:] == ["activityStart", "activityEnd"]
            else:
                await talk.until(
                    lambda: any(one.get("type") == "response.create" for one in talk.messages),
                    "no answer asked",
                )
                order = [one["type"] for one in talk.messages if one["type"] != "input_audio_buffer.append"]
                assert order == [
                    "session.update",
                    "response.cancel",
                    "conversation.item.truncate",
                    "input_audio_buffer.commit",
                    "response.create",
                ]
                assert agent_of(talk).truncated == [("item_1", cut["position"])]
            assert 700 < sound.loud_ms(talk.heard, kind.rate, 1000) < 1100, "the speech is not whole"
            await client.hang_up()


async def test_stream_has_the_settings_of_its_row_under_those_of_the_request(
    start_switch: StartSwitch,
) -> None:
    session = {"instructions": "You are a clerk.", "audio": {"input": {"transcription": {"type": "none"}}}}
    async with DialectBot(Relaxed) as bot:
        switch = start_switch(
            {
                "stream": [{"protocol": "openai-realtime", "url": bot.url, "token": "k", "session": session}],
            }
        )
        async with Control(switch) as control:
            call = await control.call()
            reply = await control.post(
                f"/{call}/streams",
                stream_url=bot.url,
                stream_type="twoway",
                stream_channel="inbound",
                protocol="openai-realtime",
                stream_session={"instructions": "You are a waiter."},
            )
            assert reply.status == 200, reply
            talk = await bot.talk()
        settings = talk.protocol.settings  # type: ignore[attr-defined]
        assert settings["instructions"] == "You are a waiter."
        assert settings["audio"]["input"]["transcription"] is None
        assert settings["audio"]["input"]["turn_detection"] == {"type": "server_vad"}


async def test_route_leads_a_telephone_to_each_service(
    start_switch: StartSwitch, bot: DialectBot, kind: type[Agent]
) -> None:
    """A number is a service with row, session and key of the account of the route; the call ends with it."""
    sip_port = free_port()
    session = {} if kind.name == "ultravox" else dict(kind.session)
    row = {"protocol": kind.name, "url": bot.url, "token": "key-of-shop", "session": session}
    switch = start_switch(
        {
            "sip": {"port": sip_port},
            "stream": [row | {"account": "other", "token": "key-of-other"}, row | {"account": "shop"}],
            "route": [{"match": "500", "to": f"stream:{bot.url}", "protocol": kind.name, "account": "shop"}],
            # The call comes back over a trunk that leads to the switch itself.
            "trunk": [{"name": "loopback", "servers": [f"127.0.0.1:{sip_port}"]}],
        }
    )
    async with calling(switch.socket_url("/call"), vad=False) as client:
        await client.send("refer", callee="500")
        talk = await bot.talk()
        assert bot.requests[-1].headers[kind.key_header] == kind.key_form.format("key-of-shop")
        await speak(talk, "Good day.", 0.5)
        await send(talk, agent_of(talk).end())
        await louder(client, 350)
        await client.speak(sound.tone(500, 0.5))
        await talk.until(
            lambda: sound.loud_ms(talk.heard, kind.rate, 1000) > 300, "the telephone is not heard"
        )
        await talk.socket.close()
        await client.wait("hangup")


class Relaxed(OpenAi):
    """A session without transcription."""

    def check(self, message: dict[str, Any]) -> list[str | bytes]:
        if message["type"] == "session.update":
            self.settings, self.audible = message["session"], True
            self.turns = message["session"]["audio"]["input"]["turn_detection"]
            return [self.typed("session.updated", session=self.settings)]
        return super().check(message)


async def test_tool_call_is_posted_to_a_webhook_and_answered_by_request(start_switch: StartSwitch) -> None:
    async with Hooks() as hooks, DialectBot(OpenAi) as bot:
        switch = start_switch({"webhook": {"format": "wavix"}})
        async with Control(switch) as control:
            call = await control.call(status_callback=hooks.url())
            await control.stream(call, bot.url, protocol="openai-realtime")
            talk = await bot.talk()
            await send(talk, agent_of(talk).tool("t1", "look_up", {"id": 7}))
            await hooks.until(lambda: hooks.about("tool_call"), "no webhook")
            [told] = hooks.about("tool_call")
            assert (told["status"], told["tool_call_id"], told["arguments"]) == ("requested", "t1", {"id": 7})
            reply = await control.post(f"/{call}/tool-results", tool_call_id="t1", result=[1, 2])
            assert reply.status == 200, reply
            await talk.until(lambda: agent_of(talk).results, "no result")
            assert agent_of(talk).results == [("t1", [1, 2], False)]
            reply = await control.post(f"/{call}/tool-results", tool_call_id="t1", result=1)
            assert reply.status == 404, reply


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"protocol": "openai-realtime", "stream_sample_rate": 16000}, "stream_sample_rate"),
        ({"protocol": "gemini-live", "stream_encoding": "pcmu"}, "stream_encoding"),
        ({"protocol": "openai-realtime", "stream_type": "oneway"}, "stream_type"),
        ({"protocol": "openai-realtime", "stream_session": {"audio": 5}}, "stream_session"),
        ({"protocol": "twilio", "stream_session": {"a": 1}}, "stream_session"),
        ({"protocol": "deepgram-agent", "stream_session": {"a": "b" * 70_000}}, "stream_session"),
    ],
)
async def test_what_a_service_cannot_carry_is_refused_by_field(switch: Switch, fields, field) -> None:
    async with Control(switch) as control:
        call = await control.call()
        body = {"stream_url": "ws://127.0.0.1:9/", "stream_type": "twoway", "stream_channel": "inbound"}
        reply = await control.post(f"/{call}/streams", **{**body, **fields})
        assert reply.status == 400, reply
        assert field in str(reply.body)


async def test_service_hears_a_room_and_its_tools_are_called_by_webhook(switch: Switch) -> None:
    async with (
        Hooks() as hooks,
        DialectBot(OpenAi) as bot,
        Control(switch) as control,
        aiohttp.ClientSession() as session,
        Browser(switch) as person,
    ):
        rest = Rest(switch, session)
        room = await rest.create(topology="mix")
        made = await control.post("/webhooks", url=hooks.url(), event_type="on-call")
        assert made.status == 201, made
        await person.join(room, "anna")
        person.hum(440)
        await person.talk()
        status, body = await rest.ask(
            "POST",
            f"/rooms/{room}/streams",
            {"stream_url": bot.url, "protocol": "openai-realtime", "stream_session": OpenAi.session},
        )
        assert status == 201, body
        talk = await bot.talk()
        assert talk.protocol.settings["instructions"] == "Be brief."  # type: ignore[attr-defined]
        await talk.until(
            lambda: tones(talk.heard[-12000:], (440.0,), 24000) == {440.0}, "the room is not heard"
        )
        await send(talk, agent_of(talk).tool("t1", "look_up", {"id": 7}))
        await hooks.until(lambda: hooks.about("tool_call"), "no webhook")
        assert hooks.about("tool_call")[0]["name"] == "look_up"
        result = {"command": "toolResult", "toolCallId": "t1", "result": {"price": 9}}
        assert (await rest.ask("POST", f"/rooms/{room}/commands", result))[0] == 200
        await talk.until(lambda: agent_of(talk).results, "no result")
        assert agent_of(talk).results == [("t1", {"price": 9}, False)]
        await control.delete("/webhooks")
