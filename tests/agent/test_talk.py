"""An agent in a call of a pretended switch, with a scripted model: what it says, and what it does."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp

from softswitch.agent import AgentConfig, option_of, talk
from softswitch.agent.config import Destination, Model
from softswitch.client import ClientError, take
from tests.client.switch import PretendedSwitch, pretended
from tests.support.chat import Said, ScriptedModel

PATIENCE_S = 60.0
TRACK = "c1"
Event = dict[str, Any]


class ServedCall:
    """A call that an agent serves: the test is the caller and the switch."""

    def __init__(self, switch: PretendedSwitch, model: ScriptedModel) -> None:
        self.switch, self.model = switch, model
        self.over = asyncio.Event()

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                await asyncio.sleep(0.005)

    async def says(self, text: str) -> None:
        """Let the caller say something."""
        await self.event("asrFinal", text=text, index=0, startTime=0, endTime=0)

    async def event(self, name: str, **fields: object) -> None:
        await self.switch.say(name, trackId=TRACK, **fields)

    def spoken(self, play: str) -> str:
        """Return what was said under a play id."""
        return "".join(tts["text"] for tts in self.switch.sent("tts") if tts["playId"] == play)

    async def heard(self, play: str) -> None:
        """Let a playback end once all its text is there."""
        await self.until(
            lambda: any(tts["playId"] == play and tts.get("endOfStream") for tts in self.switch.sent("tts"))
        )
        await self.event("trackEnd", playId=play, duration=1000)

    async def request(self, number: int) -> list[dict[str, Any]]:
        """Return the messages of a request to the model, from 1."""
        await self.until(lambda: len(self.model.requests) >= number)
        messages: list[dict[str, Any]] = self.model.requests[number - 1]["messages"]
        return messages


@asynccontextmanager
async def served(*replies: list[Said], **more: Any) -> AsyncIterator[ServedCall]:
    """Give a call that was greeted; the model gives one reply after the other, the last one for ever."""
    left = list(replies)

    def script(_: list[dict[str, Any]]) -> list[Said]:
        return left.pop(0) if len(left) > 1 else left[0]

    async with (
        pretended() as (switch, url),
        ScriptedModel(script) as model,
        aiohttp.ClientSession() as session,
    ):
        switch.greeting = [("incoming", {"caller": "200", "callee": "100", "sdp": ""})]
        config = AgentConfig(
            prompt="Be brief.",
            model=Model(url=model.url, model="scripted"),
            greeting="Good day.",
            transfer={"sales": Destination(callee="user:sales")},
            **more,
        )
        made = ServedCall(switch, model)

        async def serve() -> None:
            async with take(url, TRACK) as call:
                await call.accept(option_of(config))
                await call.answered(PATIENCE_S)
                await talk(call, config, session, call_id=TRACK, caller="200")
            made.over.set()

        serving = asyncio.ensure_future(serve())
        try:
            await made.heard("agent-1")
            assert made.spoken("agent-1") == "Good day."
            yield made
            assert not serving.done() or made.over.is_set(), serving.exception()
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)


async def test_text_is_spoken_while_the_model_writes():
    async with served(["We open ", "at nine. ", 0.05, "Come in."]) as call:
        await call.says("When do you open?")
        await call.heard("agent-2")
        pieces = [tts for tts in call.switch.sent("tts") if tts["playId"] == "agent-2"]
        assert [tts["text"] for tts in pieces] == ["We open ", "at nine. ", "Come in.", ""]
        assert all(tts["streaming"] for tts in pieces)
        assert [message["content"] for message in await call.request(1)] == [
            "Be brief.\n\nThe caller's number or name: 200",
            "Good day.",
            "When do you open?",
        ]


async def test_model_is_told_only_what_was_heard_before_it_was_spoken_over():
    async with served(["We open at nine. ", "We close at five."]) as call:
        await call.says("When do you open?")
        await call.until(lambda: "five" in call.spoken("agent-2"))
        await call.event(
            "interruption", playId="agent-2", position=900, totalDuration=2000, subtitle="We open at nine. We"
        )
        await call.says("And on Sunday?")
        messages = await call.request(2)
        assert [m["content"] for m in messages[2:]] == [
            "When do you open?",
            "We open at nine. We",
            "And on Sunday?",
        ]


async def test_speech_while_the_model_writes_stops_the_playback():
    async with served(["One. ", 60.0], ["Two."]) as call:
        await call.says("first")
        await call.until(lambda: call.spoken("agent-2") == "One. ")
        await call.says("second")
        await call.until(lambda: call.switch.sent("interrupt"))
        assert call.switch.sent("interrupt")[0]["playId"] == "agent-2"
        await call.until(lambda: call.spoken("agent-3") == "Two.")


async def test_pressed_number_is_taken_down():
    async with served(["Please press it.", {"name": "take_number"}], ["Thank you."]) as call:
        await call.says("Call me back.")
        await call.until(lambda: call.switch.sent("collect"))
        collect = call.switch.sent("collect")[0]
        assert (collect["timeoutMs"], collect["bargeIn"]) == (20_000, False)
        await call.event("collect", digits="0301234567", reason="terminator")
        told = (await call.request(2))[-1]
        assert told == {"role": "tool", "tool_call_id": "call-0", "content": "taken down: 0301234567"}
        [custom] = call.switch.sent("custom")
        assert (custom["data"], custom["sender"]) == ({"number": "0301234567"}, "agent")
        await call.until(lambda: call.spoken("agent-3") == "Thank you.")


async def test_said_number_is_taken_down_and_a_wrong_one_is_told():
    number = {"name": "take_number", "number": "+49 (30) 123"}
    async with served([{"name": "take_number", "number": "two"}], [number], ["Thank you."]) as call:
        await call.says("It is plus four nine ...")
        assert "no telephone number" in (await call.request(2))[-1]["content"]
        assert (await call.request(3))[-1]["content"] == "taken down: +4930123"
        assert [custom["data"] for custom in call.switch.sent("custom")] == [{"number": "+4930123"}]


async def test_number_that_cannot_be_collected_is_told():
    async with served([{"name": "take_number"}], ["Sorry."]) as call:
        call.switch.replies["collect"] = "a collect is running"
        await call.says("Call me back.")
        assert "a collect is running" in (await call.request(2))[-1]["content"]
        assert not call.switch.sent("custom")


async def test_caller_is_connected_and_the_agent_is_silent_from_then_on():
    async with served(["I connect you.", {"name": "transfer", "to": "sales"}]) as call:
        await call.says("Sales, please.")
        await call.heard("agent-2")
        await call.until(lambda: call.switch.sent("refer"))
        assert call.switch.sent("refer")[0]["callee"] == "user:sales"
        await call.event("answer", sdp="", refer=True)
        await call.says("Hello, sales?")
        await call.event("hangup", reason="user", initiator="caller")
        await call.switch.sockets[-1].close()
        await asyncio.wait_for(call.over.wait(), PATIENCE_S)
        assert len(call.model.requests) == 1


async def test_refused_transfer_is_told_to_the_model():
    async with served([{"name": "transfer", "to": "sales"}], ["They are busy."]) as call:
        await call.says("Sales, please.")
        await call.until(lambda: call.switch.sent("refer"))
        await call.event("reject", code=486, reason="Busy Here", refer=True)
        assert (await call.request(2))[-1]["content"] == "not connected: 486 Busy Here"
        await call.until(lambda: call.spoken("agent-3") == "They are busy.")


async def test_call_ends_once_the_goodbye_was_heard():
    async with served(["Goodbye.", {"name": "end_call"}]) as call:
        await call.says("Bye.")
        await call.until(lambda: call.spoken("agent-2").strip() == "Goodbye.")
        assert not call.switch.sent("hangup")
        await call.heard("agent-2")
        await asyncio.wait_for(call.over.wait(), PATIENCE_S)
        assert call.switch.sent("hangup")[0]["reason"] == "agent"


async def test_model_that_calls_tools_for_ever_is_given_up():
    async with served([{"name": "nonsense"}]) as call:
        await call.says("Hello?")
        await call.until(lambda: any("cannot help" in tts["text"] for tts in call.switch.sent("tts")))
        assert len(call.model.requests) == 6
        await call.heard(call.switch.sent("tts")[-1]["playId"])
        await asyncio.wait_for(call.over.wait(), PATIENCE_S)


async def test_call_has_a_bound_of_turns():
    async with served(["Yes."], max_turns=2) as call:
        await call.says("one")
        await call.heard("agent-2")
        await call.says("two")
        await call.until(lambda: any("cannot help" in tts["text"] for tts in call.switch.sent("tts")))
        assert len(call.model.requests) == 1


async def test_lost_call_ends_the_talk():
    async with served(["One. ", 60.0]) as call:
        await call.says("first")
        await call.until(lambda: call.spoken("agent-2"))
        await call.switch.lose()
        async with asyncio.timeout(PATIENCE_S):
            with suppress(ClientError):
                await call.over.wait()
