"""A WebRTC client of the switch, made of aiortc."""

import asyncio
import contextlib
import fractions
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import av
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack
from aiortc.rtp import RtpPacket

from tests.support import sound
from tests.support.client import PATIENCE_S, Client, Event
from tests.support.sound import Pcm

RATE = 48000
FRAME = RATE // 50
EVENT_TYPE = 126
"""Payload type of telephone-event at 48 kHz in our offers."""


class Voice(MediaStreamTrack):
    """Say what was given, at the pace of speech; silence otherwise."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._said: Pcm = np.zeros(0, np.int16)
        self._sent = 0
        self._start: float | None = None

    def say(self, pcm: Pcm, rate: int = sound.RATE) -> None:
        """Add a sound behind what waits."""
        places = np.arange(round(pcm.size * RATE / rate)) * rate / RATE
        resampled = np.interp(places, np.arange(pcm.size), pcm).astype(np.int16)
        self._said = np.concatenate((self._said, resampled))

    async def recv(self) -> av.AudioFrame:
        """Return the next 20 ms."""
        if self._start is None:
            self._start = time.monotonic()
        await asyncio.sleep(max(0.0, self._start + self._sent / RATE - time.monotonic()))
        piece, self._said = self._said[:FRAME], self._said[FRAME:]
        padded = np.zeros(FRAME, np.int16)
        padded[: piece.size] = piece
        frame = av.AudioFrame.from_ndarray(padded.reshape(1, -1), "s16", "mono")
        frame.sample_rate, frame.pts = RATE, self._sent
        frame.time_base = fractions.Fraction(1, RATE)
        self._sent += FRAME
        return frame


class RtcClient(Client):
    """One end of `/call/webrtc`: a WebSocket and a peer connection."""

    def __init__(self, url: str, headers: dict[str, str] | None = None, **options: Any) -> None:
        """Take the URL, as `Client` does."""
        super().__init__(url, headers, **options)
        self.peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.voice = Voice()
        self.sounds: list[tuple[float, Pcm]] = []
        """What was heard, 48 kHz mono, each piece with the time it came."""
        self.peer.addTrack(self.voice)
        self.peer.on("track", self._track)
        self._listening: list[asyncio.Task[None]] = []

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close both."""
        await self.peer.close()
        for task in self._listening:
            task.cancel()
        await asyncio.gather(*self._listening, return_exceptions=True)
        await super().__aexit__(kind, error, trace)

    def _track(self, track: MediaStreamTrack) -> None:
        self._listening.append(asyncio.ensure_future(self._listen(track)))

    async def _listen(self, track: MediaStreamTrack) -> None:
        resampler = av.AudioResampler("s16", "mono", RATE)
        with contextlib.suppress(Exception):  # aiortc ends a track by raising
            while True:
                frame = await track.recv()
                assert isinstance(frame, av.AudioFrame)
                for piece in resampler.resample(frame):
                    async with self._changed:
                        self.sounds.append(
                            (time.monotonic(), piece.to_ndarray().reshape(-1).astype(np.int16))
                        )
                        self._changed.notify_all()

    async def offer(self, codecs: Sequence[str] = (), *, events: bool = True, candidates: bool = True) -> str:
        """Return an offer.

        Args:
            codecs: MIME sub-types to offer, all that aiortc has if empty.
            events: whether to offer telephone-event.
            candidates: whether our candidates stand in it.
        """
        if codecs:
            wanted = {name.lower() for name in codecs}
            known = RTCRtpSender.getCapabilities("audio").codecs
            chosen = [codec for codec in known if codec.mimeType.partition("/")[2].lower() in wanted]
            self.peer.getTransceivers()[0].setCodecPreferences(chosen)
        await self.peer.setLocalDescription(await self.peer.createOffer())
        lines = self.peer.localDescription.sdp.splitlines()
        if not candidates:
            lines = [line for line in lines if not line.startswith(("a=candidate", "a=end-of-candidates"))]
        if events:
            lines = [f"{line} {EVENT_TYPE}" if line.startswith("m=audio") else line for line in lines]
            place = next(place for place, line in enumerate(lines) if line.startswith("a=rtpmap"))
            lines[place:place] = [
                f"a=rtpmap:{EVENT_TYPE} telephone-event/48000",
                f"a=fmtp:{EVENT_TYPE} 0-15",
            ]
        return "\r\n".join(lines) + "\r\n"

    def candidates(self) -> list[str]:
        """Return our candidates, as a client trickles them."""
        lines = self.peer.localDescription.sdp.splitlines()
        return [line.removeprefix("a=") for line in lines if line.startswith("a=candidate")]

    async def call(self, codecs: Sequence[str] = (), **option: Any) -> Event:
        """Offer, take the answer, and wait until media flows both ways."""
        answer = await self.invite(offer=await self.offer(codecs), **option)
        await self.accept(answer)
        await self.connected()
        return answer

    async def accept(self, answer: Event) -> None:
        """Take the SDP of an answer."""
        await self.peer.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))

    async def connected(self, timeout: float = PATIENCE_S) -> None:
        """Wait until ICE and DTLS are through."""
        try:
            async with asyncio.timeout(timeout):
                while self.peer.connectionState != "connected":
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"the connection is {self.peer.connectionState}") from None

    async def speak(self, pcm: Pcm, rate: int = sound.RATE) -> None:
        """Say a sound, and wait until it was said."""
        self.voice.say(pcm, rate)
        await asyncio.sleep(pcm.size / rate)

    def heard(self, since: float = 0.0) -> Pcm:
        """Return what was heard after a time, 48 kHz."""
        pieces = [piece for when, piece in self.sounds if when >= since]
        return np.concatenate(pieces) if pieces else np.zeros(0, np.int16)

    async def hear(self, seconds: float, rate: int = RATE, timeout: float = PATIENCE_S) -> Pcm:
        """Wait until that much was heard from now on, and return it (48 kHz)."""
        start = len(self.sounds)
        wanted = round(seconds * RATE)

        def enough() -> bool:
            return sum(piece.size for _, piece in self.sounds[start:]) >= wanted

        await self.until(enough, timeout=timeout, what=f"no {seconds:g} s of audio")
        return np.concatenate([piece for _, piece in self.sounds[start:]])

    async def press(self, digits: str, *, ends: int = 3) -> None:
        """Send digits as telephone-event packets (RFC 4733) in the stream of our voice, which falls silent.

        Args:
            digits: what to press.
            ends: how many end packets are sent for each digit.
        """
        sender = self.peer.getSenders()[0]
        transport = sender.transport
        sequence, stamp = await self._silence(sender)
        for digit in digits:
            code = "0123456789*#ABCD".index(digit)
            stamp = (stamp + 9600) & 0xFFFFFFFF
            for number in range(5 + ends):
                length = min(number + 1, 5) * 960
                payload = bytes((code, (0x80 if number >= 5 else 0) | 10, length >> 8, length & 0xFF))
                packet = RtpPacket(
                    payload_type=EVENT_TYPE,
                    marker=int(number == 0),
                    sequence_number=sequence,
                    timestamp=stamp,
                )
                packet.ssrc = sender._ssrc
                packet.payload = payload
                await transport._send_rtp(packet.serialize())
                sequence = (sequence + 1) & 0xFFFF
                await asyncio.sleep(0.02 if number < 5 else 0)
            await asyncio.sleep(0.06)

    def fall_silent(self) -> None:
        """Send no RTP and no RTCP any more, while the connection stays (RTCP counts as life)."""

        async def drop(data: bytes) -> None:
            pass

        self.peer.getSenders()[0].transport._send_rtp = drop  # type: ignore[method-assign]

    async def _silence(self, sender: RTCRtpSender) -> tuple[int, int]:
        """Stop our voice; return the sequence number and timestamp that follow its last packet."""
        sent: list[bytes] = []
        send = sender.transport._send_rtp

        async def watch(data: bytes) -> None:
            if not 192 <= data[1] <= 223:  # RTCP goes the same way (RFC 5761 section 4).
                sent.append(data)
            await send(data)

        sender.transport._send_rtp = watch  # type: ignore[method-assign]
        while not sent:
            await asyncio.sleep(0.01)
        sender.replaceTrack(None)
        await asyncio.sleep(0.1)
        sender.transport._send_rtp = send  # type: ignore[method-assign]
        packet = RtpPacket.parse(sent[-1])
        return (packet.sequence_number + 1) & 0xFFFF, (packet.timestamp + 4800) & 0xFFFFFFFF
