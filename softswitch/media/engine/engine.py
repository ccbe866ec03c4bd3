"""The engine: messages and audio in, one tick every 20 ms, reports and audio out."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial

from softswitch.audio.pcm import Bytes, Indices, Pcm
from softswitch.errors import NotNowError
from softswitch.media import messages as m
from softswitch.media.engine.clock import Histogram
from softswitch.media.engine.dispatcher import Dispatcher
from softswitch.media.engine.interfaces import Denoiser, Plane, VadBank
from softswitch.media.engine.isolation import by_halves
from softswitch.media.engine.layout import Layout
from softswitch.media.engine.libraries import load_for
from softswitch.media.engine.parts import build
from softswitch.media.engine.tick_state import TickArrays, TickState
from softswitch.media.engine.tick_thread import TickThread
from softswitch.media.feeds.feed_port import FeedRows
from softswitch.media.feeds.feed_queue import CompiledFifo, serves_sockets
from softswitch.media.feeds.stream_queue import StreamQueue, new_stream_queue
from softswitch.media.port import Port
from softswitch.media.rtp.plane import RtpPlane

logger = logging.getLogger(__name__)

_TICKS_PER_COUNT = 50
"""Ticks between two updates of `rtp_counters`: they are sums over all ports, and once a second is enough."""

_INBOX_MESSAGES = 200_000
"""Most messages that may be queued; so many are queued only when the tick has stopped."""


class Engine:
    """The media plane of one process.

    :meth:`post`, :meth:`feed` and :meth:`deliver` may be called from any thread and never block. All other
    methods belong to the thread that ticks: the thread made by :meth:`start`, or a test that calls
    :meth:`tick`.
    """

    def __init__(
        self,
        *,
        vads: Mapping[str, Callable[[], VadBank]] | None = None,
        denoiser: Callable[[], Denoiser] | None = None,
        plane: Plane | None = None,
        relays: bool = True,
    ) -> None:
        """Build an engine without ports.

        Args:
            vads: factory of each kind of voice activity detector, called when the kind is first used.
            denoiser: factory of the noise suppression of one port; None refuses :class:`SetDenoise`.
            plane: the RTP plane; None makes an :class:`RtpPlane`.
            relays: False mixes calls that could be relayed.
        """
        self._inbox: deque[m.Message] = deque()
        plane = plane or RtpPlane()
        self._passes = plane.passes if isinstance(plane, RtpPlane) else None
        self._parts = build(plane, vads or {}, denoiser, self._wake)
        self._parts.relaying.enabled = relays
        self._dispatcher = Dispatcher(self._parts)
        self._arrays = TickArrays()
        self._failed: dict[int, tuple[Port, Exception]] = {}
        self.counters = self._parts.counters
        """Counters since the start, for metrics."""
        self.rtp_counters: dict[str, int] = {}
        """Counters of the RTP plane, at most one second old."""
        self._ticks = 0
        self._layout = Layout()
        self._steps: list[Callable[[TickState], None]] = []
        """What the ticks of `_layout` do until the next message."""
        self._groups: tuple[tuple[int, ...], ...] = ()
        self._counting = threading.Lock()
        self._thread = TickThread(
            self.tick,
            self.is_idle,
            self.counters,
            is_relaying=lambda: self.relaying > 0,
            relay_now=self.relay_now,
            await_relayed=self._parts.transports.await_relayed,
            carry=self.carry if self._passes is not None else None,
            is_serving=serves_sockets,
            read_sockets=self.read_sockets,
        )

    @property
    def relaying(self) -> int:
        """Number of ports whose packets are forwarded without being mixed."""
        return self._parts.plane.relaying

    @property
    def tick_seconds(self) -> Histogram:
        """Histogram of the duration of ticks."""
        return self._thread.seconds

    def post(self, message: m.Message) -> None:
        """Queue a message; the next tick begins with the queued messages.

        Raises:
            ValueError: the format of a feed port is unknown.
            NotNowError: the queue is full because the engine does not tick.
        """
        if len(self._inbox) >= _INBOX_MESSAGES:
            raise NotNowError(f"the media engine does not keep up: {_INBOX_MESSAGES} messages are queued")
        load_for(message)
        if isinstance(message, m.AddFeedPort | m.AddRtpPort):
            self._parts.ingress.open(message)
        self._inbox.append(message)
        self._thread.wake()

    def feed(self, port: int, data: bytes) -> None:
        """Hand over audio of a feed port, in its format and in pieces of any size.

        The audio of one port must come from one thread at a time. Audio beyond the port's queue is dropped
        and counted.
        """
        fifo = self._parts.ingress.fifos.get(port)
        if fifo is None:
            self.counters["stray_feed_bytes"] += len(data)
        elif lost := fifo.put(data):
            self._count_refused(lost)

    def feed_socket(self, port: int) -> CompiledFifo | None:
        """Return the queue of a feed port that can serve a WebSocket by itself; None if it cannot.

        May be called from any thread. Ports whose socket needs the event loop are in ``Output.roused``.
        """
        fifo = self._parts.ingress.fifos.get(port)
        if not isinstance(fifo, CompiledFifo):
            return None
        fifo.on_refused = self._count_refused
        return fifo

    def open_stream(self, number: int, stream: str, capacity_ms: int) -> StreamQueue | None:
        """Return a queue whose WebSocket the tick serves; None without compiled code.

        The track of this number plays from it, and taps that name the number are written to it. They have to
        be posted afterwards. May be called from the thread of the event loop; a stream whose socket needs
        that loop is in ``Output.roused``.

        Args:
            number: id of the track; of a stream that has none, any id of its own.
            stream: id that messages of the stream's service may have.
            capacity_ms: longest queue of the track, milliseconds.
        """
        queue = new_stream_queue(number, stream, capacity_ms)
        if queue is not None:
            queue.ask = lambda asked: self.post(m.ReadStream(number, asked))
            self._parts.playback.streams.offered[number] = queue
        return queue

    def _count_refused(self, size: int) -> None:
        # The tick counts what it reads itself, other threads what they hand over.
        with self._counting:
            self.counters["dropped_feed_bytes"] += size

    def deliver(self, port: int, datagram: bytes) -> None:
        """Hand over a received datagram of an RTP port whose socket the engine does not poll (WebRTC).

        Datagrams that come before the port is connected are queued. A full queue drops its oldest datagram
        and counts it.
        """
        inbox = self._parts.ingress.inboxes.get(port)
        if inbox is None:
            self.counters["stray_datagrams"] += 1
            return
        if len(inbox) == inbox.maxlen:
            self.counters["dropped_datagrams"] += 1
        inbox.append(datagram)

    def tick_age_s(self) -> float:
        """Return the seconds since the last tick began; 0 while idle, infinite where no thread runs."""
        return self._thread.age_s()

    def start(self, emit: Callable[[m.Output], None], on_died: Callable[[], None] | None = None) -> None:
        """Begin to tick every 20 ms.

        Args:
            emit: called from the tick's thread with every output that is not empty.
            on_died: called from that thread when it gives up for good.

        Raises:
            RuntimeError: the engine runs already.
        """
        self._thread.start(emit, on_died)

    def stop(self) -> None:
        """Stop ticking for good, complete and report all recordings, and close all sockets."""
        self._thread.stop()
        self._parts.recorders.finish()
        self._thread.hand_out(m.Output(self._parts.recorders.take_reports(time.monotonic())))
        self._parts.transports.stop()

    def is_idle(self) -> bool:
        """Return True while a tick would have nothing to do."""
        parts = self._parts
        return not (self._inbox or len(parts.registry) or len(parts.playback) or len(parts.recorders))

    def tick(self, now: float) -> m.Output:
        """Move all audio on by 20 ms.

        Args:
            now: monotonic seconds.

        Returns:
            Reports, frames and datagrams of the tick.
        """
        output, before = m.Output(), self._layout
        messages = len(self._inbox)
        for _ in range(messages):
            self._dispatch(self._inbox.popleft(), now)
        tick = self._arrays.set(now, self._arrange(now), output)
        if messages or tick.layout is not before:
            self._steps = self._due_steps(tick.layout)
            output.reports += self._dispatcher.take_reports()
        for step in self._steps:
            try:
                step(tick)
            except Exception:
                # The error could not be assigned to a port. The other steps still do their work.
                self.counters["step_errors"] += 1
                logger.exception("step of the tick failed", extra={"step": step.__name__})
        if self._failed:
            self._close_failed(now)
        self._dispatcher.close_leaving(now)
        output.reports += self._parts.recorders.take_reports(now)
        output.reports += self._dispatcher.take_reports()
        return output

    def _due_steps(self, layout: Layout) -> list[Callable[[TickState], None]]:
        """Return the steps of a tick that have something to do, in order; the others cost nothing.

        Only a message or another layout gives a step something to do; one whose work has ended by itself does
        nothing until then.
        """
        parts, rtp, feeds = self._parts, layout.rtp_rows, layout.feeds
        steps: list[Callable[[TickState], None]] = [self._receive, self._forward]
        if rtp:
            steps.append(self._pull_rtp)
        if feeds:
            steps.append(self._pull_feeds)
        if len(parts.tone_listener):
            steps.append(self._detect_tones)
        if len(parts.conditioning):
            steps.append(self._condition)
        if layout.muted.size:
            steps.append(self._apply_mutes)
        if len(parts.activity):
            steps.append(self._detect_speech)
        if len(layout) or parts.playback.is_due:
            steps.append(self._mix)
        if len(parts.tone_sender):
            steps.append(self._send_tones)
        if parts.conditioning.cancelled:
            steps.append(self._remember_sent)
        if len(parts.recorders):
            steps.append(self._record)
        if len(parts.taps):
            steps.append(self._tap)
        if layout.mixed_rows:
            steps.append(self._push_rtp)
        if feeds or len(parts.playback.streams):
            steps.append(self._push_feeds)
        steps.append(self._control)
        return steps

    def _dispatch(self, message: m.Message, now: float) -> None:
        """Carry a message out; an error costs neither the other messages nor the tick."""
        try:
            self._dispatcher.dispatch(message, now)
        except Exception:
            self.counters["step_errors"] += 1
            logger.exception(
                "message to the media engine failed", extra={"engine_message": type(message).__name__}
            )

    def relay_now(self, now: float) -> m.Output:
        """Forward the packets that came to relayed ports, between two ticks.

        Args:
            now: monotonic seconds.

        Returns:
            Datagrams of ports without a socket.
        """
        output = m.Output()
        for batch in self._parts.transports.receive(now, relayed_only=True):
            self._receive_batch(now, *batch)
        output.strays += self._parts.transports.take_strays()
        self._send_forwarded(output)
        return output

    def carry(
        self, passed: float, until: float, period: float, margin: float
    ) -> tuple[float, m.Output] | None:
        """Relay what comes to relayed ports until `until`, or until there is something to decide.

        Args:
            passed: when packets were relayed last, monotonic seconds.
            until: when the next tick is due.
            period: time between two passes, seconds.
            margin: time from the begin of the last pass to `until`, seconds.

        Returns:
            When packets were relayed last, and datagrams of ports without a socket; None, and nothing was
            done, where :meth:`relay_now` has to be called instead.
        """
        transports, output = self._parts.transports, m.Output()
        if self._passes is None:
            return None
        done = transports.carry(self._passes, passed, until, period=period, margin=margin)
        if done is None:
            return None
        if done.is_over:
            return done.at, output
        if (batch := transports.judged(done)) is not None:
            self._receive_batch(done.at, *batch)
        if done.unsent is not None and done.errors is not None:
            transports.send_rest(done.unsent, done.errors, output.datagrams)
        if done.is_unconverted:
            self._passes.convert_rest()
        if done.rest is not None:
            self._receive_batch(done.at, *done.rest)
        if done.is_read:
            self._send_forwarded(output)
            output.strays += transports.take_strays()
            return done.at, output
        rest = self.relay_now(done.at)
        rest.datagrams = output.datagrams + rest.datagrams
        return done.at, rest

    def read_sockets(self, _now: float) -> m.Output:
        """Read the WebSockets that are served here, before a tick; the tick itself reads those that were not.

        Commands among the messages then reach the event loop in time to be carried out in that tick.

        Returns:
            Ports at whose sockets the event loop has to look.
        """
        for group in self._layout.feeds:
            self._parts.feeds.read(group)
        self._parts.playback.streams.read(early=True)
        return m.Output(roused=self._take_roused())

    def _take_roused(self) -> list[int]:
        if refused := self._parts.feeds.take_refused():
            self._count_refused(refused)
        return self._parts.feeds.take_roused() + self._parts.playback.streams.take_roused()

    def _receive(self, tick: TickState) -> None:
        for batch in self._parts.transports.receive(tick.now):
            self._receive_batch(tick.now, *batch)
        tick.output.strays += self._parts.transports.take_strays()

    def _receive_batch(self, now: float, rows: Bytes, lengths: Indices, slots: Indices) -> None:
        def receive(first: int, last: int) -> None:
            if last - first == len(slots):
                self._parts.plane.receive(rows, lengths, slots, now)
            else:
                part = slice(first, last)
                self._parts.plane.receive(rows[part], lengths[part], slots[part], now)

        def blame(index: int, error: Exception) -> None:
            slot = int(slots[index])
            self._failed.setdefault(slot, (self._layout.port_of[slot], error))

        by_halves(0, len(slots), receive, blame)

    def _forward(self, tick: TickState) -> None:
        self._send_forwarded(tick.output)

    def _send_forwarded(self, output: m.Output) -> None:
        for rows, lengths, slots in self._parts.plane.forwarded():
            self._parts.transports.send(rows, lengths, slots, output.datagrams)

    def _pull_rtp(self, tick: TickState) -> None:
        slots, said, plane = tick.layout.rtp_slots, tick.said_by_rtp, self._parts.plane

        def pull(first: int, last: int) -> None:
            if last - first == len(slots):
                plane.pull(slots, said, tick.now)
            else:
                plane.pull(slots[first:last], said[first:last], tick.now)

        by_halves(0, len(slots), pull, partial(self._blame, tick))

    def _pull_feeds(self, tick: TickState) -> None:
        for group in tick.layout.feeds:
            pull = partial(self._parts.feeds.pull, group, said=tick.said, now=tick.now)
            by_halves(group.rows.start, group.rows.stop, pull, partial(self._blame, tick))

    def _detect_tones(self, tick: TickState) -> None:
        listener = self._parts.tone_listener
        by_halves(
            0,
            len(listener),
            lambda first, last: listener.detect(tick, first, last),
            lambda index, error: self._blame(tick, listener.row(index), error),
        )

    def _condition(self, tick: TickState) -> None:
        conditioning = self._parts.conditioning
        for port in conditioning.ports():
            row = tick.layout.row_of[port]
            process = partial(conditioning.process, port, said=tick.said)
            by_halves(row, row + 1, process, partial(self._blame, tick))

    def _apply_mutes(self, tick: TickState) -> None:
        tick.said[tick.layout.muted] = 0.0

    def _detect_speech(self, tick: TickState) -> None:
        self._parts.activity.detect(tick, partial(self._blame, tick))

    def _mix(self, tick: TickState) -> None:
        mixing, playback = tick.layout.mixing, self._parts.playback
        mixing.mix(tick.said, tick.heard)
        frames: dict[int, Pcm] = {}
        if playback.is_due:
            frames = playback.play(tick.now, mixing.unready)
            tick.report(*playback.take_reports())
        for port, tone in self._parts.recorders.tones().items():
            row = tick.layout.row_of.get(port)
            if row is not None:
                mix = tick.layout.ports[row].mix
                frames[mix] = frames[mix] + tone if mix in frames else tone
        tick.sounding = mixing.add_tracks(frames, tick.heard, playback.steady)

    def _send_tones(self, tick: TickState) -> None:
        self._parts.tone_sender.play(tick)

    def _remember_sent(self, tick: TickState) -> None:
        conditioning = self._parts.conditioning
        for port in conditioning.cancelled:
            conditioning.sent(port, tick.heard[tick.layout.row_of[port]])

    def _record(self, tick: TickState) -> None:
        self._parts.recorders.record(tick.said, tick.heard, tick.layout.row_of)

    def _tap(self, tick: TickState) -> None:
        tick.output.frames += self._parts.taps.copy(tick.said, tick.heard, tick.layout.row_of)

    def _push_rtp(self, tick: TickState) -> None:
        slots, heard, parts = tick.layout.mixed_slots, tick.heard_by_rtp, self._parts

        def push(first: int, last: int) -> None:
            if last - first == len(slots):
                rows, lengths, owners = parts.plane.push(heard, slots, tick.now)
            else:
                rows, lengths, owners = parts.plane.push(heard[first:last], slots[first:last], tick.now)
            parts.transports.send(rows, lengths, owners, tick.output.datagrams)

        by_halves(0, len(slots), push, partial(self._blame, tick))

    def _push_feeds(self, tick: TickState) -> None:
        for group in tick.layout.feeds:
            self._push_group(tick, group, self._parts.feeds.due(group, tick.sounding))
        tick.output.roused += self._take_roused()

    def _push_group(self, tick: TickState, group: FeedRows, rows: list[int]) -> None:
        def push(first: int, last: int) -> None:
            tick.output.frames += self._parts.feeds.push(group, rows[first:last], tick.heard)

        by_halves(0, len(rows), push, lambda index, error: self._blame(tick, rows[index], error))

    def _control(self, tick: TickState) -> None:
        plane = self._parts.plane
        rows, lengths, slots = plane.control(tick.now)
        if len(slots):
            self._parts.transports.send_control(rows, lengths, slots, tick.output.datagrams)
        tick.output.reports += plane.take_reports()
        if self._ticks % _TICKS_PER_COUNT == 0:
            self.rtp_counters = dict(plane.counters)
        self._ticks += 1

    def _arrange(self, now: float) -> Layout:
        self._parts.relaying.review(now)
        self._layout, is_new = self._parts.registry.layout()
        if is_new:
            self._parts.tone_listener.arrange(self._layout)
            self._parts.activity.arrange(self._layout)
        # A port that is sent DTMF tones does not hear what the others of its group hear.
        groups = () if len(self._parts.tone_sender) else self._layout.alike
        if is_new or groups is not self._groups:
            self._parts.plane.share(groups)
            self._groups = groups
        return self._layout

    def _blame(self, tick: TickState, row: int, error: Exception) -> None:
        """Note that the port of a row failed: it is silent for the rest of the tick and closed at its end."""
        tick.said[row] = 0.0
        port = tick.layout.ports[row]
        self._failed.setdefault(port.slot, (port, error))

    def _close_failed(self, now: float) -> None:
        for port, error in self._failed.values():
            self._dispatcher.fail(port, error, now)
        self._failed.clear()

    def _wake(self) -> None:
        self._thread.wake()
