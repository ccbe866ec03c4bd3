"""pyVoIP's RTP with its faults mended: see the table in this package's docstring."""

import audioop
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from secrets import randbits

from pyVoIP import RTP

from softswitch.legs.pyvoip.frames import FRAME
from softswitch.legs.pyvoip.patches.fifos import Arriving, Leaving
from softswitch.legs.sip.media.rtp_sockets import RtpPair
from softswitch.media.rtp.sockets import Source

KEYS = "0123456789*#ABCD"
FRAME_S = 0.02
_POLL_S = 0.2
"""Longest sleep of a receiver before it notices the end of its call, in seconds."""
_LATE_S = 0.2
"""Delay after which a sender skips ahead instead of sending a burst, in seconds."""
_PRESS_FRAMES = 5
_GAP_FRAMES = 4
_MOST_DIGITS = 64
_DATAGRAM = 2048
_HEADER = struct.Struct("!BBHII")


class Packet(RTP.RTPMessage):
    """A packet without header extensions and padding, which pyVoIP plays as audio."""

    def parse(self, packet: bytes) -> None:
        """Parse a packet.

        Raises:
            RTPParseError: it is malformed, or has an unknown payload type.
        """
        if len(packet) < 12:
            raise RTP.RTPParseError("too short for RTP")
        super().parse(packet)
        start = 12 + 4 * self.CC
        if self.extension:
            start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4], "big")
        end = len(packet) - (packet[-1] if self.padding else 0)
        if start > end:
            raise RTP.RTPParseError("the header of the packet is longer than the packet")
        self.payload = packet[start:end]


@dataclass(slots=True)
class Press:
    """A DTMF digit that is being received."""

    timestamp: int
    key: str
    units: int = 0
    """Its duration so far, in timestamp units."""
    told: bool = False


@dataclass(frozen=True, slots=True)
class StreamEvents:
    """Callbacks of a stream, called in its thread."""

    on_audio: Callable[["Stream"], None]
    on_digit: Callable[[str, int], None]
    """Called with the digit and its duration in ms."""
    on_closed: Callable[[RtpPair], None]


class Stream(RTP.RTPClient):
    """The audio of one call, on sockets that are bound already."""

    def __init__(
        self, assoc: dict[int, RTP.PayloadType], pair: RtpPair, target: tuple[str, int], events: StreamEvents
    ) -> None:
        """Prepare; `start` comes next.

        Args:
            assoc: codecs by payload type; the first one is sent.
            pair: sockets, which the stream closes when it has stopped.
            target: the peer's announced address.
            events: callbacks.
        """
        super().__init__(assoc, pair.rtp.getsockname()[0], pair.port, *target, RTP.TransmitType.SENDRECV)
        self.pmin = self.arriving = Arriving()
        self.pmout = self.leaving = Leaving()
        # pyVoIP draws them from small ranges, which can be guessed.
        self.outSequence, self.outTimestamp, self.outSSRC = randbits(16), randbits(32), randbits(32)
        self.source = Source(target)
        self.heard_at = 0.0
        """When the last packet came, in monotonic seconds."""
        self.sending = True
        """False while the peer holds the call: nothing may be sent then."""
        self.counters = {
            "packets_received": 0, "packets_sent": 0, "packets_unread": 0, "sends_failed": 0,
        }  # fmt: skip
        self._pair = pair
        self._events = events
        self._digits: deque[str] = deque(maxlen=_MOST_DIGITS)
        self._press: Press | None = None
        self._threads: list[threading.Thread] = []
        self._closing = threading.Lock()

    @property
    def event_type(self) -> int | None:
        """Return the payload type of telephone-event; None where the peer does not support it."""
        return next((key for key, value in self.assoc.items() if value == RTP.PayloadType.EVENT), None)

    @property
    def dropped(self) -> int:
        """Return the dropped bytes of audio, both directions."""
        return self.arriving.dropped + self.leaving.dropped

    def retarget(self, target: tuple[str, int]) -> None:
        """Send to another announced address."""
        if target != self.source.signalled:
            self.source = Source(target)

    def press(self, digits: str) -> None:
        """Send digits one after another; beyond 64 the oldest are dropped."""
        if self.event_type is not None:
            self._digits.extend(digit for digit in digits if digit in KEYS)

    def start(self) -> None:
        """Start, once; pyVoIP starts two more threads for each description."""
        if self._threads or not self.NSD:
            return
        self.sin = self.sout = self._pair.rtp
        self.sin.settimeout(_POLL_S)
        self._threads = [
            threading.Thread(target=target, name=name, daemon=True)
            for target, name in ((self.recv, "RTP Receiver"), (self.trans, "RTP Transmitter"))
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop; the receiver closes the sockets, whose descriptors may then be reused by another call."""
        with self._closing:
            running, self.NSD = self.NSD, False
        if running and not self._threads:
            self._events.on_closed(self._pair)

    def recv(self) -> None:
        """Receive packets until stopped, from the learned source only."""
        try:
            while self.NSD:
                self._receive()
        finally:
            # A fault ends the audio of this call only, and its sockets are closed.
            self.NSD = False
            self._threads[1].join()
            self._events.on_closed(self._pair)

    def _receive(self) -> None:
        try:
            packet, sender = self.sin.recvfrom(_DATAGRAM)
        except TimeoutError:
            return
        except OSError:
            # An ICMP error of a datagram that was sent.
            self.counters["sends_failed"] += 1
            return
        now = time.monotonic()
        if self.source.accept(sender[:2], now):
            self.heard_at = now
            self._take(packet)

    def parse_packet(self, packet: bytes) -> None:
        """Parse a packet and handle its payload.

        Raises:
            RTPParseError: it is malformed, or its payload type was not agreed on.
        """
        message = Packet(packet, self.assoc)
        match message.payload_type:
            case RTP.PayloadType.PCMU:
                self.parse_pcmu(message)
            case RTP.PayloadType.PCMA:
                self.parse_pcma(message)
            case RTP.PayloadType.EVENT:
                self.parse_telephone_event(message)
                return
            case _:
                raise RTP.RTPParseError(f"payload type {message.payload_type} was not agreed on")
        self._release(message.timestamp)
        self._events.on_audio(self)

    def parse_telephone_event(self, packet: RTP.RTPMessage) -> None:
        """Handle a digit (RFC 4733): once, with its duration; pyVoIP needs the first of three packets."""
        payload = packet.payload
        if len(payload) < 4 or payload[0] >= len(KEYS):
            raise RTP.RTPParseError("the event is not a DTMF digit")
        press = self._press
        if press is None or press.timestamp != packet.timestamp:
            self._tell()
            press = self._press = Press(packet.timestamp, KEYS[payload[0]])
        press.units = max(press.units, int.from_bytes(payload[2:4], "big"))
        if payload[1] & 0x80:
            self._tell()

    def encode_packet(self, payload: bytes) -> bytes:
        """Encode a frame in the agreed codec; pyVoIP sends µ-law under the payload type of A-law."""
        if self.preference == RTP.PayloadType.PCMA:
            return bytes(self.encode_pcma(payload))
        return bytes(super().encode_packet(payload))

    def trans(self) -> None:
        """Send a frame every 20 ms by the clock; pyVoIP sleeps 20 ms after each, and falls behind."""
        due = time.monotonic()
        frames = self._frames()
        while self.NSD:
            for marker, payload_type, timestamp, payload in next(frames):
                self._send(marker, payload_type, timestamp, payload)
            due += FRAME_S
            wait = due - time.monotonic()
            if wait < -_LATE_S:
                due = time.monotonic()
            elif wait > 0:
                time.sleep(wait)

    def _frames(self) -> Iterator[list[tuple[bool, int, int, bytes]]]:
        """Yield the packets of each 20 ms: audio, a part of a digit, or nothing."""
        spurt = True
        while True:
            if self._digits and self.event_type is not None:
                yield from self._pressed(self._digits.popleft(), self.event_type)
                spurt = True
            audio = self.encode_packet(self.pmout.read(FRAME))
            if self.sending:
                yield [(spurt, int(self.preference), self.outTimestamp, audio)]
                spurt = False
            else:
                yield []
                spurt = True
            self.outTimestamp += FRAME

    def _pressed(self, key: str, payload_type: int) -> Iterator[list[tuple[bool, int, int, bytes]]]:
        """Yield a digit: its packets share one timestamp, the last is sent three times (RFC 4733 §2.5.1)."""
        start, code = self.outTimestamp, KEYS.index(key)
        for number in range(1, _PRESS_FRAMES + 3):
            ended = number >= _PRESS_FRAMES
            event = struct.pack("!BBH", code, 0x8A if ended else 0x0A, FRAME * min(number, _PRESS_FRAMES))
            yield [(number == 1, payload_type, start, event)]
            self._pass_over()
        for _ in range(_GAP_FRAMES):
            yield []
            self._pass_over()

    def _pass_over(self) -> None:
        """Discard 20 ms of audio under a digit; kept, it would delay all that follows."""
        self.pmout.read(FRAME)
        self.outTimestamp += FRAME

    def _send(self, marker: bool, payload_type: int, timestamp: int, payload: bytes) -> None:
        header = _HEADER.pack(
            0x80, marker << 7 | payload_type, self.outSequence & 0xFFFF, timestamp & 0xFFFFFFFF, self.outSSRC
        )
        self.outSequence += 1
        try:
            self.sout.sendto(header + payload, self.source.target)
        except OSError:
            self.counters["sends_failed"] += 1
        else:
            self.counters["packets_sent"] += 1

    def _take(self, packet: bytes) -> None:
        try:
            self.parse_packet(packet)
        except (RTP.RTPParseError, audioop.error, ValueError, IndexError):
            self.counters["packets_unread"] += 1
        else:
            self.counters["packets_received"] += 1

    def _release(self, timestamp: int) -> None:
        """Report a digit whose end was lost, once audio goes on well after it."""
        press = self._press
        if press is not None and not press.told:
            behind = (timestamp - press.timestamp - press.units) & 0xFFFFFFFF
            if 2 * FRAME < behind < 0x80000000:
                self._tell()

    def _tell(self) -> None:
        press = self._press
        if press is not None and not press.told:
            press.told = True
            self._events.on_digit(press.key, max(press.units // 8, 1))
