"""Speaks single texts with a vendor: over kept connections, or by HTTP."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, assert_never

from softswitch.egress import Asker, EgressClient, EgressError, EgressPool
from softswitch.egress.pool import Answer
from softswitch.speech.hosted.access import Access
from softswitch.speech.hosted.accounts import Concurrency
from softswitch.speech.hosted.connection import dial
from softswitch.speech.hosted.errors import StaleError, VendorError, vendor_error
from softswitch.speech.hosted.warm import Line, WarmLines
from softswitch.speech.hosted.wire import (
    Audio,
    Done,
    Failed,
    Ready,
    RestTtsProtocol,
    TtsProtocol,
    Unreadable,
    Words,
)
from softswitch.speech.interface import SpeechBusyError, Usage
from softswitch.speech.phrases import Spoken

CANCEL_S = 0.5
"""Seconds that the vendor has to take a cancellation."""
MOST_ERROR_BODY = 4096


@dataclass(slots=True)
class Voice:
    """What a stream speaks with, besides the protocol."""

    access: Access
    client: EgressClient
    concurrency: Concurrency
    usage: Usage
    timeout_s: float
    """Seconds to connect and to the first audio."""
    asker: Asker
    clock: Callable[[], float] = field(default=time.monotonic)


class Speaker(Protocol):
    """Speaks one text after another."""

    def warm(self) -> None:
        """Get ready for the first text."""

    def speak(self, text: str) -> AsyncGenerator[Spoken, None]:
        """Yield the audio of a text; closing the generator early cancels it at the vendor.

        Raises:
            VendorError: it failed.
            SpeechBusyError: too much is under way, here or at the vendor.
        """


@contextlib.contextmanager
def counted(voice: Voice, text: str) -> Iterator[None]:
    """Count a synthesis, its characters and how it ends."""
    counters = voice.concurrency.counters
    voice.concurrency.begin()
    voice.usage.characters += len(text)
    counters.characters += len(text)
    try:
        yield
    except SpeechBusyError:
        counters.busy += 1
        raise
    except (GeneratorExit, asyncio.CancelledError):
        counters.cancelled += 1
        raise
    except Exception:
        counters.failed += 1
        raise
    finally:
        voice.concurrency.end()


class WholeSamples:
    """Joins pieces of PCM16 that may be cut inside a sample."""

    def __init__(self) -> None:
        self._odd = b""

    def take(self, pcm: bytes) -> bytes:
        """Return what makes whole samples; keep an odd byte for the next piece."""
        pcm = self._odd + pcm
        even = len(pcm) & ~1
        self._odd = pcm[even:]
        return pcm[:even]


class SocketSpeaker:
    """Speaks over WebSocket or TCP."""

    def __init__(
        self, voice: Voice, make: Callable[[], TtsProtocol], lines: WarmLines, key: Hashable
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            voice: what it speaks with.
            make: makes the protocol object of a connection.
            lines: keeps connections.
            key: all that a connection is opened with: equal keys may share one.
        """
        self._voice = voice
        self._make = make
        self._lines = lines
        self._key = key

    def warm(self) -> None:
        """Open a connection in the background."""
        self._lines.prepare(self._key, self._open)

    async def speak(self, text: str) -> AsyncGenerator[Spoken, None]:
        """Yield the audio of a text."""
        with counted(self._voice, text):
            for attempt in (1, 2):
                line = await self._lines.take(self._key, self._open)
                try:
                    async with contextlib.aclosing(self._talk(line, text)) as pieces:
                        async for piece in pieces:
                            yield piece
                except StaleError:
                    # A kept connection may have been closed by the vendor meanwhile.
                    if attempt == 2 or not line.used:
                        raise
                    self._voice.concurrency.counters.reconnects += 1
                else:
                    return

    async def _open(self) -> Line:
        voice = self._voice
        protocol = self._make()
        endpoint = protocol.endpoint()
        connection = await dial(voice.client, voice.access, endpoint, voice.timeout_s, voice.asker, idle=True)
        try:
            for message in protocol.hello():
                await connection.send(message)
        except EgressError:
            await connection.close()
            raise vendor_error(voice.access, 0, "the connection broke") from None
        return Line(protocol, connection, ready=not protocol.awaits_ready)

    async def _talk(self, line: Line, text: str) -> AsyncGenerator[Spoken, None]:
        """Speak a text over a connection, and give it back or close it."""
        whole = False
        if not line.protocol.reusable:
            # The next text needs a connection of its own: its handshake happens while this one is spoken.
            self._lines.prepare(self._key, self._open)
        try:
            async with contextlib.aclosing(self._exchange(line, text)) as pieces:
                async for piece in pieces:
                    yield piece
            for message in line.protocol.renew():
                await line.connection.send(message)
                line.ready = not line.protocol.awaits_ready
            whole = True
        except EgressError:
            # The text is spoken; only the next one needs another connection.
            pass
        finally:
            if whole and line.protocol.reusable:
                line.used = True
                self._lines.give_back(self._key, line)
            else:
                self._lines.spawn(self._hang_up(line, cancel=not whole))

    async def _hang_up(self, line: Line, *, cancel: bool) -> None:
        """Close a connection; first have the vendor stop what it still speaks."""
        try:
            if cancel and not line.connection.closed:
                with contextlib.suppress(EgressError, TimeoutError):
                    async with asyncio.timeout(CANCEL_S):
                        for message in line.protocol.cancel():
                            await line.connection.send(message)
        finally:
            await line.connection.close()

    async def _exchange(self, line: Line, text: str) -> AsyncGenerator[Spoken, None]:
        voice, protocol = self._voice, line.protocol
        name = voice.access.name
        heard = sent = False
        samples = WholeSamples()
        due = voice.clock() + voice.timeout_s
        try:
            while True:
                if line.ready and not sent:
                    for message in protocol.speak(text):
                        await line.connection.send(message)
                    sent = True
                async with asyncio.timeout(max(due - voice.clock(), 0.0)):
                    received = await line.connection.receive()
                if received is None:
                    broke = StaleError if not heard else VendorError
                    raise broke(f"provider {name!r}: the connection was closed before the text was spoken")
                for event in protocol.receive(received):
                    match event:
                        case Ready():
                            line.ready = True
                        case Audio():
                            heard = True
                            due = voice.clock() + voice.timeout_s
                            yield Spoken(samples.take(event.pcm), event.sample_rate or protocol.rate)
                        case Words():
                            yield Spoken(b"", protocol.rate, event.words)
                        case Done():
                            return
                        case Failed():
                            raise vendor_error(voice.access, event.code, event.error)
                        case Unreadable():
                            voice.concurrency.counters.unreadable += 1
                        case _:
                            assert_never(event)
        except EgressError:
            raise StaleError(f"provider {name!r}: the connection broke") from None
        except TimeoutError:
            what = "more audio" if heard else "audio"
            raise VendorError(f"provider {name!r} gave no {what} within {voice.timeout_s:g} s", 504) from None


class RestSpeaker:
    """Speaks by HTTP; the audio is played while the body arrives."""

    def __init__(self, voice: Voice, make: Callable[[], RestTtsProtocol], pool: EgressPool) -> None:
        self._voice = voice
        self._make = make
        self._pool = pool

    def warm(self) -> None:
        """Do nothing: the pool keeps connections once there was a request."""

    async def speak(self, text: str) -> AsyncGenerator[Spoken, None]:
        """Yield the audio of a text."""
        voice = self._voice
        with counted(voice, text):
            protocol = self._make()
            request = protocol.request(text)
            try:
                async with self._pool.request(
                    request.url,
                    headers=request.headers,
                    body=request.body,
                    trusted=voice.access.trusted,
                    timeout_s=voice.timeout_s,
                    asker=voice.asker,
                ) as answer:
                    if answer.status != 200:
                        body = await answer.read(MOST_ERROR_BODY)
                        raise vendor_error(voice.access, answer.status, body.decode("utf-8", "replace"))
                    async with contextlib.aclosing(self._decode(protocol, answer)) as pieces:
                        async for piece in pieces:
                            yield piece
            except EgressError as error:
                raise vendor_error(voice.access, 0, str(error)) from None

    async def _decode(self, protocol: RestTtsProtocol, answer: Answer) -> AsyncGenerator[Spoken, None]:
        voice = self._voice
        name = voice.access.name
        chunks = answer.chunks()
        heard = False
        samples = WholeSamples()
        try:
            while True:
                async with asyncio.timeout(voice.timeout_s):
                    chunk = await anext(chunks, None)
                pcm = samples.take(protocol.decode(chunk or b"", last=chunk is None))
                if pcm:
                    heard = True
                    yield Spoken(pcm, protocol.rate)
                if chunk is None:
                    break
        except TimeoutError:
            raise VendorError(f"provider {name!r} gave no audio within {voice.timeout_s:g} s", 504) from None
        except ValueError as error:
            voice.concurrency.counters.unreadable += 1
            raise VendorError(f"provider {name!r}: {voice.access.clean(str(error))}") from None
        if not heard:
            voice.concurrency.counters.unreadable += 1
            raise VendorError(f"provider {name!r} answered without audio")
