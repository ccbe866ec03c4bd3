"""What a call says, through its real engine: pause, resume and interrupt in any order, stepped by hand."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from softswitch.audio.pcm import to_bytes
from softswitch.call.vocabulary import commands as c
from softswitch.call.vocabulary import events as e
from softswitch.call.vocabulary import reports as r
from softswitch.call.vocabulary.commands import BargeInOption, CallOption, Command, TtsOption
from softswitch.media.engine.engine import Engine
from softswitch.switch.conversation.conversation import Conversation
from softswitch.switch.origin import Origin
from tests.media.fake_plane import FakePlane
from tests.media.rig import TICK, steady
from tests.switch.harness import House, settle

RATE = 16000
SPEECH = to_bytes(steady(8000.0, RATE // 2))
"""Half a second."""
LONGEST_TICKS = 250
"""More than all that a test says, and than the longest fade: 5 s."""


class Harness:
    """A call over a real engine whose time passes when the test says so."""

    def __init__(self, folder: Path, option: CallOption) -> None:
        self.house = House(folder)
        self.engine = self.house.resources.engine = Engine(plane=FakePlane())
        self.now = 1000.0
        self.events: list[e.Event] = []
        self.said: list[str] = []
        self._option = option
        self.call: Conversation

    async def open(self) -> None:
        origin = Origin("me", "192.0.2.1")
        self.call = await self.house.switch.open("a", "websocket", self.house.endpoint, origin)
        self.call.subscribe(self)
        await self.command(c.Invite(option=self._option))

    async def command(self, command: Command) -> None:
        self.call.command(command)
        await settle()

    async def say(self, layer: str = "") -> str:
        name = f"speech {len(self.said)}"
        self.said.append(name)
        await self.command(c.Say(pcm=SPEECH, play_id=name, layer=layer, option=TtsOption(sample_rate=RATE)))
        return name

    async def tick(self, ticks: int = 1) -> None:
        for _ in range(ticks):
            output = self.engine.tick(self.now)
            self.now += TICK
            self.house.resources.routes.deliver(output)
            await settle()

    async def do(self, word: str) -> None:
        match word.split():
            case ["say", *layer]:
                await self.say(*layer)
            case ["tick", *ticks]:
                await self.tick(int(ticks[0]) if ticks else 1)
            case ["speaks"]:
                self.call.report(r.SpeechStarted("party", 100.0, time.monotonic()))
                await settle()
            case ["quiet"]:
                began = time.monotonic()
                self.call.report(r.SpeechStopped("party", 100.0, began, began))
                await settle()
            case _:
                await self.command(COMMANDS[word])

    def ended(self) -> list[str | None]:
        return [event.play_id for event in self.events if isinstance(event, e.TrackEnd) and event.play_id]

    async def assert_over(self) -> None:
        """Assert that all that was said has ended once, and that what is said next is heard."""
        for _ in range(LONGEST_TICKS):
            if len(self.ended()) >= len(self.said):
                break
            await self.tick()
        await self.tick(3)
        assert sorted(map(str, self.ended())) == sorted(self.said)
        cut = [event.play_id for event in self.events if isinstance(event, e.Interruption)]
        assert len(cut) == len(set(cut))
        following = await self.say()
        await self.tick(30)
        assert self.ended()[-1] == following
        assert following in [event.play_id for event in self.events if isinstance(event, e.TrackStart)]
        assert self.house.resources.routes.failures == 0

    # --- a subscriber ---------------------------------------------------------------

    def event(self, event: e.Event, seq: int) -> None:
        self.events.append(event)

    def audio(self, side: int, pcm: bytes) -> None:
        pass

    def close(self, code: int, reason: str) -> None:
        pass


COMMANDS: dict[str, Command] = {
    "pause": c.Pause(),
    "resume": c.Resume(),
    "interrupt": c.Interrupt(),
    "interrupt slowly": c.Interrupt(fade_ms=2000),
    "interrupt at once": c.Interrupt(fade_ms=0),
    "interrupt gracefully": c.Interrupt(graceful=True),
}
WORDS = [*COMMANDS, "say", "say", "say bed", "tick", "tick", "tick 3", "speaks", "quiet"]

Staged = Callable[[Harness], Coroutine[object, object, None]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("house")


def staged(folder: Path, story: Staged, barge_in: BargeInOption) -> None:
    """Tell a story of one call on a loop of its own, and hang up."""

    async def whole() -> None:
        harness = Harness(folder, CallOption(barge_in=barge_in))
        await harness.open()
        try:
            await story(harness)
        finally:
            harness.call.end("over", "system")
            await harness.call.released.wait()

    asyncio.run(whole())


CLIENTS = BargeInOption()
AT_ONCE = BargeInOption(server=True, min_speech_ms=0)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    words=st.lists(st.sampled_from(WORDS), max_size=8),
    last=st.sampled_from(["interrupt", "interrupt slowly", "interrupt at once"]),
    barge_in=st.sampled_from([CLIENTS, AT_ONCE]),
)
@example(words=["pause"], last="interrupt slowly", barge_in=CLIENTS)
@example(words=["interrupt gracefully", "pause", "tick"], last="interrupt", barge_in=CLIENTS)
@example(words=["speaks"], last="interrupt slowly", barge_in=AT_ONCE)
def test_interrupt_ends_everything_once_and_the_next_is_heard(folder, words, last, barge_in):
    async def story(harness: Harness) -> None:
        for word in ("say", "tick", *words, last):
            await harness.do(word)
        await harness.assert_over()

    staged(folder, story, barge_in)


@settings(deadline=None, max_examples=40, derandomize=True)
@given(words=st.lists(st.sampled_from(WORDS), max_size=10), barge_in=st.sampled_from([CLIENTS, AT_ONCE]))
def test_resume_lets_everything_end_once(folder, words, barge_in):
    async def story(harness: Harness) -> None:
        for word in ("say", *words, "quiet", "resume"):
            await harness.do(word)
        await harness.assert_over()

    staged(folder, story, barge_in)


@pytest.mark.parametrize(
    "orders", ["pause|interrupt slowly", "interrupt slowly|pause", "interrupt gracefully|pause|interrupt"]
)
def test_orders_within_a_tick_end_the_playback_in_the_next(folder, orders):
    async def story(harness: Harness) -> None:
        await harness.do("say")
        await harness.tick(3)
        for word in orders.split("|"):
            await harness.do(word)
        await harness.tick(1)
        names = [type(event).__name__ for event in harness.events]
        assert names[-2:] == ["Interruption", "TrackEnd"]
        await harness.assert_over()

    staged(folder, story, CLIENTS)


def test_barge_in_without_patience_interrupts_and_the_next_text_is_heard(folder):
    async def story(harness: Harness) -> None:
        await harness.do("say")
        await harness.tick(3)
        await harness.do("speaks")
        await harness.tick(3)
        assert harness.ended() == ["speech 0"]
        [cut] = [event for event in harness.events if isinstance(event, e.Interruption)]
        assert (cut.play_id, cut.position) == ("speech 0", 70)
        await harness.assert_over()

    staged(folder, story, AT_ONCE)


def test_pause_holds_a_playback_that_was_interrupted_gracefully(folder):
    async def story(harness: Harness) -> None:
        await harness.do("say")
        await harness.tick(3)
        await harness.do("interrupt gracefully")
        await harness.do("pause")
        await harness.tick(100)
        assert harness.ended() == []
        await harness.do("resume")
        await harness.assert_over()

    staged(folder, story, CLIENTS)


def test_false_alarm_lets_a_second_layer_go_on_after_the_first_was_interrupted(folder):
    async def story(harness: Harness) -> None:
        await harness.do("say")
        await harness.do("say bed")
        await harness.tick(3)
        await harness.do("speaks")
        await harness.command(c.Interrupt(play_id="speech 0"))
        await harness.tick(3)
        assert harness.ended() == ["speech 0"]
        await harness.do("quiet")
        await harness.assert_over()

    staged(folder, story, BargeInOption(server=True, min_speech_ms=600_000))


@pytest.mark.parametrize("orders", ["pause|say bed|speaks|quiet", "say bed|speaks|pause|quiet"])
def test_false_alarm_leaves_paused_what_the_client_paused(folder, orders):
    async def story(harness: Harness) -> None:
        await harness.do("say")
        await harness.tick(3)
        for word in orders.split("|"):
            await harness.do(word)
        await harness.tick(60)
        assert "speech 0" not in harness.ended()
        await harness.do("resume")
        await harness.assert_over()

    staged(folder, story, BargeInOption(server=True, min_speech_ms=600_000))
