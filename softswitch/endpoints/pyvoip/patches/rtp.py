"""pyVoIP's RTP, mended: see the table in this package's docstring."""

import audioop
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from secrets import randbits

from pyVoIP import RTP

from softswitch.endpoints.pyvoip.frames import FRAME
from softswitch.endpoints.pyvoip.patches.fifos import Arriving, Leaving
from softswitch.endpoints.sip.rtp_sockets import RtpPair
from softswitch.media.sockets import Source

KEYS = "0123456789*#ABCD"
FRAME_S = 0.02
_POLL_S = 0.2
"""How long a receiver may sleep before it sees that its call is over."""
_LATE_S = 0.2
"""A sender further behind than this begins anew instead of sending a burst."""
_PRESS_FRAMES = 5
_GAP_FRAMES = 4
_MOST_DIGITS = 64
_DATAGRAM = 2048
_HEADER = struct.Struct("!BBHII")


class Packet(RTP.RTPMessage):
    """A packet read to its end: pyVoIP plays header extensions and padding as audio."""

    def parse(self, packet: bytes) -> None:
        """Read a packet.

        Raises:
            RTPParseError: it is none, or of an unknown payload type.
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
    """A key that is held down at the far end."""

    timestamp: int
    key: str
    units: int = 0
    """Its length so far, in timestamp units."""
    told: bool = False


@dataclass(frozen=True, slots=True)
class Ears:
    """Whom a stream tells, in its own thread."""

    on_audio: Callable[["Stream"], None]
    on_digit: Callable[[str, int], None]
    """Key and its length in ms."""
    on_closed: Callable[[RtpPair], None]


class Stream(RTP.RTPClient):
    """The audio of one call, on sockets that are bound already."""

    def __init__(
        self, assoc: dict[int, RTP.PayloadType], pair: RtpPair, target: tuple[str, int], ears: Ears
    ) -> None:
        """Prepare.

        Args:
            assoc: what the payload types mean; the first codec is sent.
            pair: sockets; closed by the stream once it has stopped.
            target: where the far end said that its audio goes.
            ears: whom to tell.
        """
        super().__init__(assoc, pair.rtp.getsockname()[0], pair.port, *target, RTP.TransmitType.SENDRECV)
        self.pmin = self.arriving = Arriving()
        self.pmout = self.leaving = Leaving()
        # pyVoIP draws them from small ranges, which a stranger can guess.
        self.outSequence, self.outTimestamp, self.outSSRC = randbits(16), randbits(32), randbits(32)
        self.source = Source(target)
        self.heard_at = 0.0
        """When the last packet came, in monotonic seconds."""
        self.sending = True
        """False while the far end holds us: nothing may be sent then."""
        self.counters = {
            "packets_received": 0, "packets_sent": 0, "packets_unread": 0, "sends_failed": 0,
        }  # fmt: skip
        self._pair = pair
        self._ears = ears
        self._digits: deque[str] = deque(maxlen=_MOST_DIGITS)
        self._press: Press | None = None
        self._threads: list[threading.Thread] = []
        self._closing = threading.Lock()

    @property
    def event_type(self) -> int | None:
        """Return the payload type of telephone-event, None where the far end knows none."""
        return next((key for key, value in self.assoc.items() if value == RTP.PayloadType.EVENT), None)

    @property
    def dropped(self) -> int:
        """Return the bytes of audio that were thrown away, both ways."""
        return self.arriving.dropped + self.leaving.dropped

    def retarget(self, target: tuple[str, int]) -> None:
        """Send elsewhere from now on: a new description said so."""
        if target != self.source.signalled:
            self.source = Source(target)

    def press(self, digits: str) -> None:
        """Send digits, one after another; beyond 64 the oldest are forgotten."""
        if self.event_type is not None:
            self._digits.extend(digit for digit in digits if digit in KEYS)

    def start(self) -> None:
        """Begin; once, where pyVoIP starts two more threads for each description."""
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
        """End; the sockets close with the receiver, since a number that is reused belongs to another call."""
        with self._closing:
            running, self.NSD = self.NSD, False
        if running and not self._threads:
            self._ears.on_closed(self._pair)

    def recv(self) -> None:
        """Take packets until stopped; from the learned source alone."""
        try:
            while self.NSD:
                self._receive()
        finally:
            # Whatever went wrong here ends this call's audio alone, and its sockets are given back.
            self.NSD = False
            self._threads[1].join()
            self._ears.on_closed(self._pair)

    def _receive(self) -> None:
        try:
            packet, sender = self.sin.recvfrom(_DATAGRAM)
        except TimeoutError:
            return
        except OSError:
            # An ICMP answer to what was sent.
            self.counters["sends_failed"] += 1
            return
        now = time.monotonic()
        if self.source.accept(sender[:2], now):
            self.heard_at = now
            self._take(packet)

    def parse_packet(self, packet: bytes) -> None:
        """Read a packet.

        Raises:
            RTPParseError: it is none, or of a kind that was not agreed on.
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
        self._ears.on_audio(self)

    def parse_telephone_event(self, packet: RTP.RTPMessage) -> None:
        """Take a key (RFC 4733): once a press, with its length; pyVoIP wants the first packet of three."""
        payload = packet.payload
        if len(payload) < 4 or payload[0] >= len(KEYS):
            raise RTP.RTPParseError("no key of a telephone")
        press = self._press
        if press is None or press.timestamp != packet.timestamp:
            self._tell()
            press = self._press = Press(packet.timestamp, KEYS[payload[0]])
        press.units = max(press.units, int.from_bytes(payload[2:4], "big"))
        if payload[1] & 0x80:
            self._tell()

    def encode_packet(self, payload: bytes) -> bytes:
        """Encode a frame in the codec that was agreed on; pyVoIP sends µ-law under the number of A-law."""
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
        """Yield what goes out in each 20 ms: audio, or a part of a key, or nothing."""
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
        """Yield a key: its packets share one timestamp, the last is sent three times (RFC 4733 §2.5.1)."""
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
        """Let 20 ms of audio go unsent; kept, it would delay all that follows."""
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
        """Tell a key whose end got lost, once audio goes on well behind it."""
        press = self._press
        if press is not None and not press.told:
            behind = (timestamp - press.timestamp - press.units) & 0xFFFFFFFF
            if 2 * FRAME < behind < 0x80000000:
                self._tell()

    def _tell(self) -> None:
        press = self._press
        if press is not None and not press.told:
            press.told = True
            self._ears.on_digit(press.key, max(press.units // 8, 1))
