"""Pings to silent peers, by a simulated clock."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from softswitch.legs.websocket.heartbeat import Heartbeat
from tests.support.simulated.clock import START_S, SimClock, SimLoop


class Peer:
    """A peer that is heard, pinged and given up."""

    def __init__(self) -> None:
        self.heard = 0
        self.told: list[tuple[str, float]] = []

    def watch(self, every_s: float) -> Heartbeat:
        return Heartbeat(
            lambda: self.heard, every_s, ping=lambda: self.note("ping"), dead=lambda: self.note("dead")
        )

    def note(self, what: str) -> None:
        self.told.append((what, round(asyncio.get_running_loop().time() - START_S, 3)))


def simulate(scene: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=lambda: SimLoop(SimClock())) as runner:
        runner.run(scene)


def test_silent_peer_is_pinged_once_and_then_given_up():
    peer = Peer()

    async def scene() -> None:
        peer.watch(20)
        await asyncio.sleep(100)

    simulate(scene())
    assert peer.told == [("ping", 20), ("dead", 30)]


def test_peer_that_answers_pings_is_kept_and_pinged_again():
    peer = Peer()

    async def scene() -> None:
        beat = peer.watch(20)
        for _ in range(3):
            await asyncio.sleep(26)
            peer.heard += 1
        await asyncio.sleep(14)
        beat.stop()
        await asyncio.sleep(100)

    simulate(scene())
    # Each ping comes 20 to 25 s after the peer was heard, at 0, 26 and 52 s.
    assert peer.told == [("ping", 20), ("ping", 50), ("ping", 75)]


def test_peer_that_talks_is_never_pinged():
    peer = Peer()

    async def scene() -> None:
        beat = peer.watch(1)
        for _ in range(100):
            await asyncio.sleep(0.2)
            peer.heard += 1
        beat.stop()

    simulate(scene())
    assert peer.told == []
