"""Sounds that are shared: decoded once for all calls that play them."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from softswitch.switch import loops as module
from softswitch.switch.loops import Decode, Loops


class Decoder:
    """A fake: seconds of a sound, one at a time, when they are let go."""

    def __init__(self, seconds: int, *, broken: bool = False) -> None:
        self.seconds, self.broken = seconds, broken
        self.begun: list[int] = []
        self.open = asyncio.Event()
        self.open.set()

    def __call__(self, offset_ms: int) -> AsyncIterator[bytes]:
        self.begun.append(offset_ms)
        return self._pieces(offset_ms // 1000)

    async def _pieces(self, first: int) -> AsyncIterator[bytes]:
        for second in range(first, self.seconds):
            await self.open.wait()
            yield bytes([second]) * 10
        if self.broken:
            raise ValueError("broken")


async def heard(loops: Loops, decode: Decode, key: bytes = b"k") -> bytes:
    return b"".join([piece async for piece in loops.pieces(key, decode)])


def sound(seconds: int) -> bytes:
    return b"".join(bytes([second]) * 10 for second in range(seconds))


async def test_sound_is_decoded_once_for_all_who_begin_at_the_same_time() -> None:
    loops, decoder = Loops(), Decoder(4)
    decoder.open.clear()
    waiting = [asyncio.ensure_future(heard(loops, decoder)) for _ in range(20)]
    await asyncio.sleep(0)
    decoder.open.set()
    assert await asyncio.gather(*waiting) == [sound(4)] * 20
    assert await heard(loops, decoder) == sound(4)
    assert decoder.begun == [0]


async def test_listener_who_leaves_does_not_stop_it_for_the_others() -> None:
    loops, decoder = Loops(), Decoder(3)
    decoder.open.clear()
    first = asyncio.ensure_future(heard(loops, decoder))
    second = asyncio.ensure_future(heard(loops, decoder))
    await asyncio.sleep(0)
    first.cancel()
    decoder.open.set()
    assert await second == sound(3)


async def test_sound_too_long_to_keep_is_decoded_for_each_from_where_sharing_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "LONGEST", 25)
    loops, decoder = Loops(), Decoder(5)
    assert await heard(loops, decoder) == sound(5)
    assert decoder.begun == [0, 3000]
    assert await heard(loops, decoder) == sound(5)
    assert decoder.begun == [0, 3000, 0, 3000]


async def test_broken_sound_raises_for_everybody_and_is_tried_again_later() -> None:
    loops, broken, whole = Loops(), Decoder(2, broken=True), Decoder(2)
    both = await asyncio.gather(heard(loops, broken), heard(loops, broken), return_exceptions=True)
    assert [type(error) for error in both] == [ValueError, ValueError]
    assert await heard(loops, whole) == sound(2)


async def test_sound_without_audio_ends_at_once() -> None:
    assert await heard(Loops(), Decoder(0)) == b""


async def test_least_used_sound_goes_when_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BOUND", 45)
    loops, one, two, three = Loops(), Decoder(2), Decoder(2), Decoder(1)
    await heard(loops, one, b"1")
    await heard(loops, two, b"2")
    await heard(loops, one, b"1")
    await heard(loops, three, b"3")
    await heard(loops, one, b"1")
    await heard(loops, two, b"2")
    assert (one.begun, two.begun) == ([0], [0, 0])
