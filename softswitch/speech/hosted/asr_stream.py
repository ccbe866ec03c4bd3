"""Recognition over a connection: pacing, keep-alive, and a new connection where one breaks in mid-word."""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from typing import NamedTuple, assert_never

from softswitch.egress import EgressError
from softswitch.errors import SoftswitchError
from softswitch.speech.backoff import Backoff
from softswitch.speech.hosted.access import Access
from softswitch.speech.hosted.asr_base import HostedAsrStream, Opening
from softswitch.speech.hosted.connection import Connection
from softswitch.speech.hosted.errors import FATAL, VendorError, vendor_error
from softswitch.speech.hosted.timeline import AudioTimeline
from softswitch.speech.hosted.wire import (
    AsrEvent,
    AsrProtocol,
    Failed,
    Flushed,
    Heard,
    Ready,
    Turned,
    Unreadable,
)
from softswitch.speech.interface import AsrTurn, SpeechBusyError

logger = logging.getLogger(__name__)

MAX_QUEUED_MS = 10_000
"""Audio that waits for the vendor; of more, the oldest is dropped."""
MAX_REPLAY_MS = 20_000
"""Audio of an unfinished utterance kept for a new connection."""
LEAD_MS = 400
"""Audio that may be sent ahead of real time, where the vendor wants it in real time."""
BYE_S = 0.5
CLEAN = 1000
"""Code of a WebSocket that was closed on purpose."""

Dial = Callable[[AsrProtocol], Awaitable[Connection]]
"""Opens a connection for a protocol object."""


class _Mark(Enum):
    FINALIZE = 0


class _Piece(NamedTuple):
    """Audio of one message."""

    pcm: bytes
    length_ms: float
    """How much of it is the stream's; the rest was added to fill the message."""


class _EndedError(Exception):
    """Leave the tasks of a connection; not an error."""


class SocketAsrStream(HostedAsrStream):
    """Recognition over WebSocket or TCP.

    Audio is kept until its final text is there. If the connection breaks before, it is sent again over a new
    one, so that a word that was being said is not lost.
    """

    def __init__(
        self,
        opening: Opening,
        access: Access,
        make: Callable[[], AsrProtocol],
        dial: Dial,
        first: tuple[AsrProtocol, Connection],
    ) -> None:
        """Begin to listen; needs a running loop.

        Args:
            opening: what it is opened with.
            access: the provider.
            make: makes the protocol object of a connection.
            dial: opens a connection.
            first: the first connection, open already.
        """
        protocol, _ = first
        super().__init__(opening, protocol.rate)
        self._access = access
        self._make = make
        self._dial = dial
        self._piece_bytes = 2 * protocol.rate * protocol.piece_ms // 1000
        self._piece_ms = float(protocol.piece_ms)
        self._rest = bytearray()
        self._queue: deque[_Piece | _Mark] = deque()
        self._queued = 0
        self._queue_ms = 0.0
        """Where the first queued piece begins in the stream."""
        self._unheard: deque[tuple[float, _Piece]] = deque()
        self._finalized = False
        """Whether the speaker is silent and the final text is awaited."""
        self._finalized_at_ms = 0.0
        self._to_send = asyncio.Event()
        self._awaited, self._settled = asyncio.Event(), asyncio.Event()
        self._timeline = AudioTimeline()
        self._tail_ms = 0.0
        self._given_out = False
        """Whether a connection for one utterance has had its audio."""
        self._backoff = Backoff(0.1, 2.0)
        self._pair: tuple[AsrProtocol, Connection] | None = first
        self._hanging_up: asyncio.Task[None] | None = None
        # Owned by the stream, which cancels it; its failures become outputs, so that nothing is lost with it.
        self._worker = asyncio.get_running_loop().create_task(self._work())
        self._worker.add_done_callback(self._on_worker_done)

    # --- the writer's side --------------------------------------------------------

    def push(self, pcm: bytes) -> None:
        """Take PCM16 at the stream's rate."""
        if self._outputs.ended:
            return
        self._utterance_began()
        self._rest += self._resample(pcm)
        whole = len(self._rest) // self._piece_bytes * self._piece_bytes
        for begin in range(0, whole, self._piece_bytes):
            self._put(_Piece(bytes(self._rest[begin : begin + self._piece_bytes]), self._piece_ms))
        del self._rest[:whole]

    def finalize(self) -> None:
        """Ask for the final text of what was pushed."""
        if self._outputs.ended or (self._began is None and not self._unheard):
            return
        if self._rest:
            length_ms = len(self._rest) * 500 / self._rate
            self._put(_Piece(bytes(self._rest).ljust(self._piece_bytes, b"\0"), length_ms))
            self._rest.clear()
        self._utterance_ended()
        self._queue.append(_Mark.FINALIZE)
        self._to_send.set()

    def close(self) -> None:
        """Stop at once."""
        self._outputs.close()
        self._release()
        self._worker.cancel()

    def _put(self, piece: _Piece) -> None:
        if self._queued * self._piece_ms >= MAX_QUEUED_MS:
            self._drop_oldest()
        self._queue.append(piece)
        self._queued += 1
        self._to_send.set()

    def _drop_oldest(self) -> None:
        for at, item in enumerate(self._queue):
            if isinstance(item, _Piece):
                del self._queue[at]
                self._queued -= 1
                self._queue_ms += item.length_ms
                self._counters.dropped_ms += round(item.length_ms)
                return

    # --- connections --------------------------------------------------------------

    def _on_worker_done(self, _worker: "asyncio.Task[None]") -> None:
        """Close what a worker leaves that was cancelled before it began."""
        if self._pair is not None:
            _, connection = self._pair
            self._pair = None
            self._hanging_up = asyncio.get_running_loop().create_task(self._close(connection))

    async def _work(self) -> None:
        failures = 0
        try:
            while True:
                index = self._index
                error: SoftswitchError | None = None
                try:
                    if self._pair is None:
                        protocol = self._make()
                        self._pair = protocol, await self._dial(protocol)
                    await self._carry(*self._pair)
                except (VendorError, SpeechBusyError) as failed:
                    error = failed
                except EgressError:
                    error = vendor_error(self._access, 0, "the connection broke")
                finally:
                    if self._pair is not None:
                        await self._close(self._pair[1])
                    self._pair = None
                failures = 0 if self._index > index or error is None else failures + 1
                if error is not None and self._is_over(error, failures):
                    self._fail(str(error), getattr(error, "code", 502))
                    return
                await self._before_next(failures, one_shot=error is None)
        except Exception:
            logger.exception("a recognition failed", extra={"provider": self._access.name})
            self._fail(f"provider {self._access.name!r}: it failed inside; the log has the rest", 500)
        finally:
            self._release()
            self._outputs.end()

    def _is_over(self, error: SoftswitchError, failures: int) -> bool:
        if isinstance(error, SpeechBusyError):
            self._counters.busy += 1
            return True
        code = getattr(error, "code", 502)
        return failures >= self._opening.attempts or code in FATAL or code == 504

    async def _before_next(self, failures: int, *, one_shot: bool) -> None:
        """Queue the unfinished audio anew, and wait until there is something to send."""
        if self._unheard:
            self._queue_ms = self._unheard[0][0]
            if self._finalized:
                self._queue.appendleft(_Mark.FINALIZE)
            self._queue.extendleft(piece for _, piece in reversed(self._unheard))
            self._queued += len(self._unheard)
            self._unheard.clear()
        self._finalized = False
        self._awaited.clear()
        self._tail_ms = 0.0
        if one_shot:
            return
        while not self._queue:
            self._to_send.clear()
            await self._to_send.wait()
        self._counters.reconnects += 1
        if failures:
            await asyncio.sleep(self._backoff.failed(self._clock()))

    async def _close(self, connection: Connection) -> None:
        """Say goodbye where that works, and close; also when cancelled."""
        with contextlib.suppress(EgressError, TimeoutError, OSError):
            async with asyncio.timeout(BYE_S):
                await connection.close()

    async def _carry(self, protocol: AsrProtocol, connection: Connection) -> None:
        """Use a connection until it ends.

        Raises:
            VendorError: it failed, or broke while something was awaited.
            EgressError: it broke while something was sent.
        """
        self._timeline = AudioTimeline()
        self._given_out = False
        ready = asyncio.Event()
        if not protocol.awaits_ready:
            ready.set()
        failure: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._receive(protocol, connection, ready))
                group.create_task(self._send(protocol, connection, ready))
                group.create_task(self._watch())
        except* _EndedError:
            pass
        except* (SoftswitchError, EgressError) as errors:
            failure = errors.exceptions[0]
        finally:
            if self._outputs.ended:
                await self._say_bye(protocol, connection)
        while isinstance(failure, BaseExceptionGroup):
            failure = failure.exceptions[0]
        if failure is not None:
            raise failure

    async def _say_bye(self, protocol: AsrProtocol, connection: Connection) -> None:
        with contextlib.suppress(EgressError, TimeoutError, OSError):
            async with asyncio.timeout(BYE_S):
                for message in protocol.bye():
                    await connection.send(message)

    async def _watch(self) -> None:
        """Fail when the final text does not come."""
        while True:
            await self._awaited.wait()
            try:
                async with asyncio.timeout(self._opening.patience_s):
                    await self._settled.wait()
            except TimeoutError:
                raise VendorError(
                    f"provider {self._access.name!r} gave no final text within "
                    f"{self._opening.patience_s:g} s",
                    504,
                ) from None

    # --- sending ------------------------------------------------------------------

    async def _send(self, protocol: AsrProtocol, connection: Connection, ready: asyncio.Event) -> None:
        for message in protocol.hello():
            await connection.send(message)
        try:
            async with asyncio.timeout(self._opening.patience_s):
                await ready.wait()
        except TimeoutError:
            raise VendorError(f"provider {self._access.name!r} is not ready in time", 504) from None
        pace = _Pace(self._clock if protocol.realtime else None)
        while True:
            if self._given_out:
                # The next utterance goes over the next connection.
                await asyncio.Event().wait()
            if self._queue:
                await self._send_next(protocol, connection, pace)
            elif self._tail_ms > 0 and self._finalized:
                self._tail_ms -= self._piece_ms
                await self._send_silence(protocol, connection, pace)
            else:
                await self._wait(protocol, connection)

    async def _send_next(self, protocol: AsrProtocol, connection: Connection, pace: "_Pace") -> None:
        item = self._queue.popleft()
        match item:
            case _Piece():
                self._queued -= 1
                self._remember(item)
                self._timeline.sent(self._queue_ms, item.length_ms)
                self._timeline.added(self._piece_ms - item.length_ms)
                self._queue_ms += item.length_ms
                self._used(self._piece_ms)
                for message in protocol.audio(item.pcm):
                    await connection.send(message)
                await pace.wait(self._piece_ms)
            case _Mark.FINALIZE:
                self._finalized = True
                self._finalized_at_ms = self._queue_ms
                self._tail_ms = float(protocol.tail_ms)
                for message in protocol.finalize():
                    await connection.send(message)
                self._given_out = protocol.one_shot
                if protocol.answers_finalize or self._told:
                    self._settled.clear()
                    self._awaited.set()
            case _:
                assert_never(item)

    async def _send_silence(self, protocol: AsrProtocol, connection: Connection, pace: "_Pace") -> None:
        self._timeline.added(self._piece_ms)
        self._used(self._piece_ms)
        for message in protocol.audio(bytes(self._piece_bytes)):
            await connection.send(message)
        await pace.wait(self._piece_ms)

    async def _wait(self, protocol: AsrProtocol, connection: Connection) -> None:
        """Wait for something to send; keep the connection alive meanwhile."""
        self._to_send.clear()
        try:
            async with asyncio.timeout(protocol.keep_alive_s or None):
                await self._to_send.wait()
        except TimeoutError:
            for message in protocol.keep_alive():
                if isinstance(message, bytes):
                    self._timeline.added(self._piece_ms)
                await connection.send(message)

    def _remember(self, piece: _Piece) -> None:
        if self._finalized:
            # A new utterance has begun before the final text of the last one came.
            self._finalized = False
            self._tail_ms = 0.0
        self._unheard.append((self._queue_ms, piece))
        if len(self._unheard) * self._piece_ms > MAX_REPLAY_MS:
            self._unheard.popleft()

    # --- receiving ----------------------------------------------------------------

    async def _receive(self, protocol: AsrProtocol, connection: Connection, ready: asyncio.Event) -> None:
        while True:
            message = await connection.receive()
            if message is None:
                self._apply(protocol.closed(clean=connection.close_code == CLEAN), ready)
                if protocol.one_shot and not self._unheard:
                    raise _EndedError
                raise vendor_error(self._access, 0, "the connection was closed")
            asked = self._finalized
            self._apply(protocol.receive(message), ready)
            if protocol.one_shot and asked and not self._finalized:
                raise _EndedError

    def _apply(self, events: Sequence[AsrEvent], ready: asyncio.Event) -> None:
        for event in events:
            match event:
                case Ready():
                    ready.set()
                case Heard():
                    self._heard(event)
                case Turned():
                    at_ms = self._queue_ms if event.end_ms is None else self._timeline.stream_ms(event.end_ms)
                    self._give(AsrTurn(event.probability, min(round(at_ms), round(self._queue_ms))))
                case Flushed():
                    self._settle(self._finalized_at_ms)
                    if not self._queue:
                        self._next_utterance()
                case Failed():
                    raise vendor_error(self._access, event.code, event.error)
                case Unreadable():
                    self._counters.unreadable += 1
                case _:
                    assert_never(event)

    def _heard(self, event: Heard) -> None:
        begin = self._unheard[0][0] if self._unheard else self._queue_ms
        start_ms = round(begin) if event.start_ms is None else self._timeline.stream_ms(event.start_ms)
        sent_to = round(self._queue_ms)
        end_ms = sent_to if event.end_ms is None else min(self._timeline.stream_ms(event.end_ms), sent_to)
        if event.final and not self._given_out:
            by = self._finalized_at_ms if self._finalized else self._queue_ms
            self._settle(by if event.end_ms is None or self._finalized else float(end_ms))
        self._tell(event.text, min(start_ms, end_ms), end_ms, event.confidence, final=event.final)

    def _settle(self, until_ms: float) -> None:
        """Forget the audio whose text is final."""
        while self._unheard and self._unheard[0][0] < until_ms:
            self._unheard.popleft()
        self._finalized = False
        self._tail_ms = 0.0
        self._awaited.clear()
        self._settled.set()


class _Pace:
    """Keeps audio to real time, with `LEAD_MS` in hand."""

    def __init__(self, clock: Callable[[], float] | None) -> None:
        self._clock = clock
        self._due = 0.0

    async def wait(self, length_ms: float) -> None:
        """Wait until the piece after one of `length_ms` may be sent."""
        if self._clock is None:
            return
        now = self._clock()
        self._due = max(self._due, now - LEAD_MS / 1000) + length_ms / 1000
        if self._due > now:
            await asyncio.sleep(self._due - now)
