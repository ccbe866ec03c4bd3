"""The engine: messages and audio in, one tick every 20 ms, reports and audio out."""

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial

from softswitch.audio.pcm import Bytes, Indices
from softswitch.errors import NotNowError
from softswitch.media import messages as m
from softswitch.media.clock import Histogram
from softswitch.media.feeds import listening
from softswitch.media.isolation import by_halves
from softswitch.media.needs import Denoiser, Plane, VadBank
from softswitch.media.orders import Orders
from softswitch.media.parts import build
from softswitch.media.ports import FeedRows, Layout, Port
from softswitch.media.rtp_plane import RtpPlane
from softswitch.media.scene import Scene, Stage
from softswitch.media.tick_thread import TickThread

logger = logging.getLogger(__name__)

_TICKS_PER_COUNT = 50
"""The counters of the RTP plane are a sum over its ports: once a second is often enough."""

_INBOX_MESSAGES = 200_000
"""Messages that may wait; so many wait only where the tick has died."""


class Engine:
    """The media plane of one process.

    :meth:`post`, :meth:`feed` and :meth:`deliver` may be called from any thread and never block. Everything
    else belongs to the thread that ticks: the one :meth:`start` makes, or that of the test which calls
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
            vads: makes the bank of each kind of voice activity detection, when it is first asked for.
            denoiser: makes what takes the noise out of one port; None refuses it.
            plane: carries RTP; None takes one with its defaults.
            relays: False mixes even what could be relayed.
        """
        self._inbox: deque[m.Message] = deque()
        self._parts = build(plane or RtpPlane(), vads or {}, denoiser, self._wake)
        self._parts.relaying.enabled = relays
        self._orders = Orders(self._parts)
        self._stage = Stage()
        self._failed: dict[int, tuple[Port, Exception]] = {}
        self.counters = self._parts.counters
        """What has been counted since the start, for metrics."""
        self.rtp_counters: dict[str, int] = {}
        """What the RTP plane has counted, as of a second ago at most."""
        self._ticks = 0
        self._layout = Layout()
        self._groups: tuple[tuple[int, ...], ...] = ()
        self._thread = TickThread(
            self.tick, self.is_idle, self.counters, is_hurried=lambda: self.relaying > 0, hurry=self.hurry
        )
        self._steps: tuple[Callable[[Scene], None], ...] = (
            self._receive,
            self._forward,
            self._take_from_rtp,
            self._take_from_feeds,
            self._listen_for_tones,
            self._denoise,
            self._silence_the_muted,
            self._watch_for_speech,
            self._mix,
            self._play_tones,
            self._record,
            self._tap,
            self._give_to_rtp,
            self._give_to_feeds,
            self._control_rtp,
        )

    @property
    def relaying(self) -> int:
        """How many ports are relayed: their packets go on without being mixed."""
        return self._parts.plane.relaying

    @property
    def tick_seconds(self) -> Histogram:
        """How long ticks took."""
        return self._thread.seconds

    def post(self, message: m.Message) -> None:
        """Tell the engine something; the next tick begins with it.

        Raises:
            ValueError: a port with such a format cannot be.
            NotNowError: too much waits, because the engine does not tick.
        """
        if len(self._inbox) >= _INBOX_MESSAGES:
            raise NotNowError("the media engine does not keep up")
        if isinstance(message, m.AddFeedPort | m.AddRtpPort):
            self._parts.doors.open(message)
        self._inbox.append(message)
        self._thread.wake()

    def feed(self, port: int, data: bytes) -> None:
        """Hand over audio of a feed port, in its format and in pieces of any size.

        One port's audio must come from one thread at a time. What finds no room is dropped and counted.
        """
        fifo = self._parts.doors.fifos.get(port)
        if fifo is None:
            self.counters["stray_feed_bytes"] += len(data)
        elif lost := fifo.put(data):
            self.counters["dropped_feed_bytes"] += lost

    def deliver(self, port: int, datagram: bytes) -> None:
        """Hand over a datagram of an RTP port that was connected without polling a socket (WebRTC).

        What comes before the port is connected waits. When too much waits, the oldest is dropped and counted.
        """
        inbox = self._parts.doors.inboxes.get(port)
        if inbox is None:
            self.counters["stray_datagrams"] += 1
            return
        if len(inbox) == inbox.maxlen:
            self.counters["dropped_datagrams"] += 1
        inbox.append(datagram)

    def start(self, emit: Callable[[m.Output], None]) -> None:
        """Begin to tick every 20 ms; `emit` is called from the tick's thread with what comes of it.

        Raises:
            RuntimeError: it runs already.
        """
        self._thread.start(emit)

    def stop(self) -> None:
        """End the ticking for good, finish all recordings (and report them) and close all sockets."""
        self._thread.stop()
        self._parts.recorders.finish()
        self._thread.hand_out(m.Output(self._parts.recorders.take_reports(time.monotonic())))
        self._parts.transports.stop()

    def is_idle(self) -> bool:
        """Tell whether a tick would find nothing to do."""
        parts = self._parts
        return not (self._inbox or len(parts.registry) or len(parts.playback) or len(parts.recorders))

    def tick(self, now: float) -> m.Output:
        """Move all audio on by 20 ms.

        Args:
            now: monotonic seconds.

        Returns:
            What happened, and what is to be carried further.
        """
        output = m.Output()
        for _ in range(len(self._inbox)):
            self._orders.obey(self._inbox.popleft(), now)
        scene = self._stage.set(now, self._arrange(now), output)
        output.reports += self._orders.take_reports()
        for step in self._steps:
            try:
                step(scene)
            except Exception:
                # No port could be blamed. The other steps still carry what they can.
                self.counters["step_errors"] += 1
                logger.exception("step of the tick failed", extra={"step": step.__name__})
        self._close_failed(now)
        self._orders.close_leaving(now)
        output.reports += self._parts.recorders.take_reports(now)
        output.reports += self._orders.take_reports()
        return output

    def hurry(self, now: float) -> m.Output:
        """Carry what has come to relayed ports, between two ticks.

        Args:
            now: monotonic seconds.

        Returns:
            What is to be carried further.
        """
        output = m.Output()
        for batch in self._parts.transports.receive(now, hurrying=True):
            self._receive_batch(now, *batch)
        self._send_forwarded(output)
        return output

    def _receive(self, scene: Scene) -> None:
        for batch in self._parts.transports.receive(scene.now):
            self._receive_batch(scene.now, *batch)

    def _receive_batch(self, now: float, rows: Bytes, lengths: Indices, slots: Indices) -> None:
        def receive(first: int, last: int) -> None:
            part = slice(first, last)
            self._parts.plane.receive(rows[part], lengths[part], slots[part], now)

        def blame(index: int, error: Exception) -> None:
            slot = int(slots[index])
            self._failed.setdefault(slot, (self._layout.port_of[slot], error))

        by_halves(0, len(slots), receive, blame)

    def _forward(self, scene: Scene) -> None:
        self._send_forwarded(scene.output)

    def _send_forwarded(self, output: m.Output) -> None:
        for rows, lengths, slots in self._parts.plane.forwarded():
            self._parts.transports.send(rows, lengths, slots, output.datagrams)

    def _take_from_rtp(self, scene: Scene) -> None:
        slots, plane = scene.layout.rtp_slots, self._parts.plane

        def take(first: int, last: int) -> None:
            plane.pull(slots[first:last], scene.said[first:last], scene.now)

        by_halves(0, len(slots), take, partial(self._blame, scene))

    def _take_from_feeds(self, scene: Scene) -> None:
        for group in scene.layout.feeds:
            say = partial(self._parts.feeds.say, group, said=scene.said)
            by_halves(group.rows.start, group.rows.stop, say, partial(self._blame, scene))

    def _listen_for_tones(self, scene: Scene) -> None:
        listener = self._parts.tone_listener
        by_halves(
            0,
            len(listener),
            lambda first, last: listener.listen(scene, first, last),
            lambda index, error: self._blame(scene, listener.row(index), error),
        )

    def _denoise(self, scene: Scene) -> None:
        denoising = self._parts.denoising
        for port in denoising.ports():
            row = scene.layout.row_of[port]
            process = partial(denoising.process, port, said=scene.said)
            by_halves(row, row + 1, process, partial(self._blame, scene))

    def _silence_the_muted(self, scene: Scene) -> None:
        if scene.layout.muted.size:
            scene.said[scene.layout.muted] = 0.0

    def _watch_for_speech(self, scene: Scene) -> None:
        self._parts.activity.watch(scene, partial(self._blame, scene))

    def _mix(self, scene: Scene) -> None:
        mixing, playback = scene.layout.mixing, self._parts.playback
        frames = playback.play(scene.now, mixing.unready)
        scene.report(*playback.take_reports())
        mixing.hear(scene.said, scene.heard)
        scene.sounding = mixing.add_tracks(frames, scene.heard)

    def _play_tones(self, scene: Scene) -> None:
        self._parts.tone_sender.play(scene)

    def _record(self, scene: Scene) -> None:
        self._parts.recorders.record(scene.said, scene.heard, scene.layout.row_of)

    def _tap(self, scene: Scene) -> None:
        scene.output.frames += self._parts.taps.copy(scene.said, scene.heard, scene.layout.row_of)

    def _give_to_rtp(self, scene: Scene) -> None:
        slots, parts = scene.layout.mixed_slots, self._parts

        def give(first: int, last: int) -> None:
            rows, lengths, owners = parts.plane.push(scene.heard[first:last], slots[first:last], scene.now)
            parts.transports.send(rows, lengths, owners, scene.output.datagrams)

        by_halves(0, len(slots), give, partial(self._blame, scene))

    def _give_to_feeds(self, scene: Scene) -> None:
        sounding = scene.sounding.tolist()
        for group in scene.layout.feeds:
            self._give_to_group(scene, group, listening(group, sounding))

    def _give_to_group(self, scene: Scene, group: FeedRows, rows: list[int]) -> None:
        def give(first: int, last: int) -> None:
            scene.output.frames += self._parts.feeds.tell(group, rows[first:last], scene.heard)

        by_halves(0, len(rows), give, lambda index, error: self._blame(scene, rows[index], error))

    def _control_rtp(self, scene: Scene) -> None:
        plane = self._parts.plane
        rows, lengths, slots = plane.control(scene.now)
        self._parts.transports.send_control(rows, lengths, slots, scene.output.datagrams)
        scene.report(*plane.take_reports())
        if self._ticks % _TICKS_PER_COUNT == 0:
            self.rtp_counters = dict(plane.counters)
        self._ticks += 1

    def _arrange(self, now: float) -> Layout:
        self._parts.relaying.review(now)
        self._layout, is_new = self._parts.registry.layout()
        if is_new:
            self._parts.tone_listener.arrange(self._layout)
            self._parts.activity.arrange(self._layout)
        # Who is played tones does not hear what the others hear.
        groups = () if len(self._parts.tone_sender) else self._layout.alike
        if is_new or groups is not self._groups:
            self._parts.plane.share(groups)
            self._groups = groups
        return self._layout

    def _blame(self, scene: Scene, row: int, error: Exception) -> None:
        """Note that a port failed; it is silent for the rest of this tick and closed at its end."""
        scene.said[row] = 0.0
        port = scene.layout.ports[row]
        self._failed.setdefault(port.slot, (port, error))

    def _close_failed(self, now: float) -> None:
        for port, error in self._failed.values():
            self._orders.fail(port, error, now)
        self._failed.clear()

    def _wake(self) -> None:
        self._thread.wake()
