"""Running calls follow the addresses of the machine: another path is offered where the one in use is dead."""

import asyncio
from types import SimpleNamespace
from typing import Any

from softswitch.errors import NotNowError
from softswitch.legs.sip.address_moves import MOST_AT_ONCE, AddressMoves


class Media:
    """The media of one call, whose path begins at an address."""

    def __init__(self, base: str, *, fails: bool = False) -> None:
        self._base, self._fails = base, fails
        self.withdrawn = 0
        self.most = 0

    running = 0

    async def restart(self, present: frozenset[str]) -> str:
        if self._base in present:
            return ""
        Media.running += 1
        self.most = Media.running
        await asyncio.sleep(0)
        Media.running -= 1
        if self._fails:
            raise NotNowError("no socket is free")
        return f"offer of {self._base}"

    async def withdraw(self) -> None:
        self.withdrawn += 1


class Agent:
    """Takes offers of calls that are established."""

    def __init__(self, *gone: str) -> None:
        self._gone = gone
        self.offered: dict[str, str] = {}

    def reinvite(self, session: str, sdp: str, now: float) -> bool:
        self.offered[session] = sdp
        return session not in self._gone


def moves(agent: Agent, legs: list[Any]) -> AddressMoves:
    driver: Any = SimpleNamespace(agent=agent, now=lambda: 0.0, pump=lambda: None)
    none: Any = None
    return AddressMoves(none, driver, none, legs, none)


def leg(session: str, media: Media | None, *, answered: bool = True) -> Any:
    return SimpleNamespace(session=session, media=media, answered=answered)


async def test_calls_whose_path_is_dead_get_an_offer_and_no_others() -> None:
    agent = Agent("hung-up")
    there, lost, over, full = Media("10.0.0.1"), Media("10.0.0.9"), Media("10.0.0.9"), Media("", fails=True)
    legs = [
        leg("full", full), leg("there", there), leg("lost", lost), leg("hung-up", over),
        leg("ringing", Media("10.0.0.9"), answered=False), leg("no media", None),
    ]  # fmt: skip
    await moves(agent, legs).restart_paths(frozenset({"10.0.0.1"}))
    assert agent.offered == {"lost": "offer of 10.0.0.9", "hung-up": "offer of 10.0.0.9"}
    assert [each.withdrawn for each in (there, lost, over)] == [0, 0, 1]


async def test_many_calls_look_for_another_path_some_at_once() -> None:
    media = [Media("10.0.0.9") for _ in range(3 * MOST_AT_ONCE)]
    agent = Agent()
    await moves(agent, [leg(str(number), one) for number, one in enumerate(media)]).restart_paths(frozenset())
    assert len(agent.offered) == len(media)
    assert 1 < max(one.most for one in media) <= MOST_AT_ONCE
