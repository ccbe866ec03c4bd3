"""The streams of a call between a fake engine and a fake service."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pytest

from softswitch.call.interfaces import (
    PlaybackStatus,
    StreamEar,
    StreamFrames,
    StreamOver,
    StreamRequest,
    StreamSocket,
)
from softswitch.call.vocabulary import commands as c
from softswitch.call.vocabulary import events as e
from softswitch.call.vocabulary.stream_words import ToService
from softswitch.call.vocabulary.values import StreamTrack
from softswitch.errors import MalformedError
from softswitch.media import messages as m
from softswitch.switch.conversation.conversation import Conversation
from softswitch.switch.origin import Origin
from tests.switch.harness import House, settle
from tests.switch.test_switch import Listener


class Service:
    """A stream whose service does what the test says."""

    sample_rate, frame_ms, follows_speech = 24000, 20, False
    encoding: Literal["pcm16", "pcmu", "pcma"] = "pcm16"

    def __init__(self, request: StreamRequest, ear: StreamEar) -> None:
        self.request, self.ear = request, ear
        self.over: asyncio.Future[StreamOver] = asyncio.get_running_loop().create_future()
        self.frames: list[tuple[StreamTrack, bytes]] = []
        self.marks: list[tuple[str, bool]] = []
        self.words: list[ToService] = []
        self.playbacks: list[tuple[PlaybackStatus, int | None]] = []

    async def run(self) -> StreamOver:
        return await self.over

    def frame(self, track: StreamTrack, audio: bytes) -> None:
        self.frames.append((track, audio))

    def media_words(self, track: StreamTrack) -> tuple[bytes, int] | None:
        return None

    def share(self, socket: StreamSocket, frames: Mapping[StreamTrack, StreamFrames]) -> None:
        raise AssertionError("the engine of these tests serves no socket")

    def look(self) -> None:
        pass

    def passed(self, name: str, cleared: bool) -> None:
        self.marks.append((name, cleared))

    def playback(self, status: PlaybackStatus, played_ms: int | None = None) -> None:
        self.playbacks.append((status, played_ms))

    def tell(self, word: ToService) -> None:
        self.words.append(word)

    def stop(self) -> None:
        if not self.over.done():
            self.over.set_result(StreamOver("stopped"))


class Setting:
    """A call that is up, and its services."""

    def __init__(self, folder: Path) -> None:
        self.house = House(folder)
        self.services: list[Service] = []
        self.house.resources.streams = self._make
        self.listener = Listener()
        self.call: Conversation

    def _make(self, request: StreamRequest, ear: StreamEar) -> Service:
        self.services.append(Service(request, ear))
        return self.services[-1]

    async def begin(self) -> None:
        self.call = await self.house.switch.open("a", "websocket", self.house.endpoint, Origin("me"))
        self.call.subscribe(self.listener)
        self.call.command(c.Invite())
        await settle()

    async def start(self, name: str = "s", **option) -> Service:
        option = {"two_way": True, **option}
        self.call.command(c.StartStream(stream=name, option=c.StreamOption("ws://x/", **option)))
        await settle()
        return self.services[-1]

    def told(self, kind):
        return self.house.engine.told(kind)

    def statuses(self) -> list[str]:
        return [event.status for _, event in self.listener.events if isinstance(event, e.StreamChanged)]

    def report(self, report: m.Report) -> None:
        self.house.resources.routes.deliver(m.Output([report]))


@pytest.fixture
async def setting(tmp_path: Path) -> Setting:
    made = Setting(tmp_path)
    await made.begin()
    return made


async def test_nothing_is_tapped_before_the_service_is_connected(setting):
    service = await setting.start()
    assert setting.told(m.AddTap) == setting.told(m.AddTrack) == []
    service.ear.opened()
    [tap], [track] = setting.told(m.AddTap), setting.told(m.AddTrack)
    assert (tap.direction, tap.sample_rate, tap.packet_bytes) == ("inbound", 24000, 0)
    assert (track.capacity_ms, track.prebuffer_ms, track.live) == (120_000, 60, False)
    assert setting.statuses() == ["started"]


async def test_owner_is_warned_of_refused_audio_and_the_service_knows_the_bound(setting):
    service = await setting.start()
    service.ear.opened()
    track = setting.told(m.AddTrack)[0]
    assert service.request.buffer_ms == track.capacity_ms
    setting.report(m.TrackFull(track.track, 1.0, 480))
    assert setting.statuses() == ["started", "warning"]
    [_, warning] = [event for _, event in setting.listener.events if isinstance(event, e.StreamChanged)]
    assert "120 s ahead" in str(warning.reason)
    setting.report(m.MarkReached(track.track, 1.0, "late", cleared=True))
    assert service.marks == [("late", True)]


async def test_service_that_is_live_has_a_live_track(setting):
    (await setting.start(live=True)).ear.opened()
    assert [track.live for track in setting.told(m.AddTrack)] == [True]


@pytest.mark.parametrize(
    ("channel", "directions"),
    [("inbound", ["inbound"]), ("outbound", ["outbound"]), ("both", ["inbound", "outbound"])],
)
async def test_oneway_taps_what_was_asked_for_and_opens_no_track(setting, channel, directions):
    service = await setting.start(two_way=False, channel=channel)
    service.ear.opened()
    assert [tap.direction for tap in setting.told(m.AddTap)] == directions
    assert setting.told(m.AddTrack) == []
    for tap in setting.told(m.AddTap):
        setting.house.resources.routes.deliver(m.Output(frames=[(tap.tap, b"pcm")]))
    assert service.frames == [(direction, b"pcm") for direction in directions]


async def test_audio_marks_and_clears_go_to_the_track_in_order(setting):
    service = await setting.start()
    service.ear.opened()
    number = setting.told(m.AddTrack)[0].track
    before = len(setting.house.engine.posted)
    service.ear.audio(b"\1\0", 16000)
    service.ear.mark("one")
    service.ear.clear()
    assert setting.house.engine.posted[before:] == [
        m.FeedTrack(number, 16000, b"\1\0"),
        m.PlaceMark(number, "one"),
        m.ClearTrack(number),
    ]
    setting.report(m.MarkReached(number, 1.0, "one", cleared=True))
    assert service.marks == [("one", True)]


async def test_taps_have_the_rate_and_the_packets_of_the_dialect(setting):
    service = await setting.start()
    service.sample_rate, service.frame_ms = 8000, 100
    service.ear.opened()
    [tap] = setting.told(m.AddTap)
    assert (tap.sample_rate, tap.packet_bytes) == (8000, 1600)


async def test_service_is_told_how_its_playback_goes(setting):
    service = await setting.start()
    service.ear.opened()
    number = setting.told(m.AddTrack)[0].track
    setting.report(m.TrackStarted(number, 1.0))
    setting.report(m.TrackDrained(number, 2.0))
    setting.report(m.TrackCleared(number, 3.0, 1234))
    assert service.playbacks == [("started", None), ("drained", None), ("cleared", 1234)]


async def test_protocol_that_cannot_be_spoken_fails_the_stream_alone(setting):
    def refuse(request: StreamRequest, ear: StreamEar) -> Service:
        raise MalformedError(f"protocol: {request.protocol!r} is unknown")

    setting.house.resources.streams = refuse
    setting.call.command(c.StartStream(stream="s", option=c.StreamOption("ws://x/", protocol="dummy")))
    await settle()
    assert setting.statuses() == ["failed"]
    assert not setting.call.over


async def test_service_that_has_come_back_finds_its_taps_and_track(setting):
    service = await setting.start()
    service.ear.opened()
    service.ear.opened()
    assert (len(setting.told(m.AddTap)), len(setting.told(m.AddTrack))) == (1, 1)
    assert setting.statuses() == ["started", "resumed"]


async def test_what_a_service_said_before_it_went_is_heard_before_the_stream_is_over(setting):
    service = await setting.start()
    service.ear.opened()
    number = setting.told(m.AddTrack)[0].track
    service.over.set_result(StreamOver("closed", "gone"))
    await settle()
    assert setting.told(m.EndTrack) == [m.EndTrack(number)]
    assert len(setting.told(m.RemoveTap)) == 1
    assert setting.statuses() == ["started"]
    setting.report(m.TrackEnded(number, 1.0, 2000))
    await settle()
    assert setting.statuses() == ["started", "closed"]
    assert len(setting.house.resources.routes) == 1  # That of the leg's port.


async def test_stopped_stream_is_cut_short(setting):
    service = await setting.start()
    service.ear.opened()
    setting.call.command(c.StopStream(stream="s"))
    await settle()
    assert setting.told(m.EndTrack) == []
    assert len(setting.told(m.DropTrack)) == 1
    assert setting.statuses() == ["started", "stopped"]


async def test_failed_stream_leaves_nothing_in_the_engine(setting):
    service = await setting.start()
    service.over.set_result(StreamOver("failed", "connection refused"))
    await settle()
    assert setting.statuses() == ["failed"]
    assert setting.told(m.AddTap) == setting.told(m.AddTrack) == []
    await setting.start("again")


async def test_end_of_the_call_stops_its_streams(setting):
    services = [await setting.start("a"), await setting.start("b", two_way=False)]
    for service in services:
        service.ear.opened()
    setting.call.command(c.Hangup())
    await settle()
    await setting.call.released.wait()
    assert [service.over.result().status for service in services] == ["stopped", "stopped"]
    assert len(setting.house.resources.routes) == 0


async def test_service_may_end_the_call_once_it_was_heard(setting):
    service = await setting.start(extras=("hangup",))
    service.ear.opened()
    number = setting.told(m.AddTrack)[0].track
    service.ear.hang_up(drain=True)
    await settle()
    assert setting.told(m.EndTrack) == [m.EndTrack(number)]
    assert not setting.call.over
    setting.report(m.TrackEnded(number, 1.0, 2000))
    await settle()
    assert setting.call.over


async def test_service_may_end_the_call_once(setting):
    service = await setting.start(extras=("hangup",))
    service.ear.opened()
    service.ear.hang_up()
    service.ear.hang_up()
    await settle()
    assert setting.call.over


async def test_request_says_what_the_call_is(setting):
    setting.call.tag = "vip"
    request = (await setting.start(channel="both", extras=("start",), headers={"X": "y"})).request
    assert (request.call, request.stream, request.two_way, request.channel) == ("a", "s", True, "both")
    assert (request.tag, request.incoming, request.headers, request.extras) == (
        "vip",
        True,
        {"X": "y"},
        ("start",),
    )
    assert request.tracks == ("inbound",)
    assert (request.protocol, request.parameters) == ("wavix", {})
    option = {"protocol": "dummy", "parameters": {"customer": "7"}, "two_way": False}
    request = (await setting.start("t", **option)).request
    assert (request.protocol, request.parameters) == ("dummy", {"customer": "7"})


async def test_switch_without_streams_says_so(setting):
    setting.house.resources.streams = None
    setting.call.command(c.StartStream(stream="s", option=c.StreamOption("ws://x/")))
    await settle()
    assert setting.statuses() == ["failed"]
