"""Phones with audio, for a switch under test: each sends a tone as RTP and keeps what it hears."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import numpy as np

from softswitch.audio import g711
from softswitch.sip import events as hp
from softswitch.sip.security.digest import Credentials
from tests.legs.sip.phone import HOST, Phone, phone, sdp
from tests.support.sound import Pcm, level, share, tone

RATE = 8000
WAIT_S = 60.0


class Speaker:
    """A phone with audio: it sends a tone as PCMA and keeps what it hears, packet by packet."""

    def __init__(self, far: Phone, name: str, hz: float) -> None:
        self.far, self.name = far, name
        self.sends = True
        self.session = ""
        self.heard: list[Pcm] = []
        self._rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._rtp.bind((HOST, 0))
        self._rtp.setblocking(False)
        self._sound = g711.encode(g711.ALAW_ENCODE, tone(hz, 1.0, RATE, 0.1).astype(np.float32)).tobytes()
        self._to: tuple[str, int] | None = None
        self._number = 0

    @property
    def port(self) -> int:
        return int(self._rtp.getsockname()[1])

    def sdp(self, direction: str = "sendrecv", version: int = 1) -> str:
        return sdp(self.port, direction=direction, events=False, version=version)

    def meet(self, description: str) -> None:
        """Send to the address of a description from now on."""
        line = next(line for line in description.splitlines() if line.startswith("m=audio "))
        self._to = HOST, int(line.split()[1])

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        next_at = loop.time()
        while True:
            self._receive()
            if self._to is not None and self.sends:
                start = self._number * 160 % len(self._sound)
                header = struct.pack("!BBHII", 0x80, 8, self._number & 0xFFFF, self._number * 160, self.port)
                self._rtp.sendto(header + self._sound[start : start + 160], self._to)
                self._number += 1
            next_at += 0.02
            await asyncio.sleep(max(next_at - loop.time(), 0.0))

    def _receive(self) -> None:
        while True:
            try:
                data = self._rtp.recv(2048)
            except BlockingIOError:
                return
            if len(data) == 172 and data[1] & 0x7F == 8:
                codes = np.frombuffer(data[12:], np.uint8)
                self.heard.append(g711.decode(g711.ALAW_DECODE, codes).astype(np.int16))

    def last(self, seconds: float) -> Pcm:
        """Return what was heard last."""
        packets = self.heard[-round(seconds * 50) :]
        return np.concatenate(packets) if packets else np.zeros(0, np.int16)

    async def until(self, fits: Callable[[Pcm], bool], seconds: float, what: str) -> None:
        """Wait until a time of what is heard fits."""
        try:
            async with asyncio.timeout(WAIT_S):
                while len(self.heard) < seconds * 50 or not fits(self.last(seconds)):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            last = self.last(seconds)
            raise AssertionError(f"{self.name} hears no {what}: level {level(last):.0f}") from None

    def close(self) -> None:
        self._rtp.close()

    # --- signalling ----------------------------------------------------------------------

    async def take(self, number: int = 1) -> None:
        """Answer the next call."""
        invited = await self.far.until(hp.Invited, number)
        self.session = invited.session
        assert invited.offer is not None
        self.meet(invited.offer)
        self.far.do("answer", self.session, self.sdp())

    async def call(self, port: int, callee: str) -> None:
        """Call, and wait for the answer."""
        self.session = self.far.invite(
            port,
            callee,
            self.sdp(),
            from_=f"<sip:{self.name}@{HOST}>",
            credentials=Credentials(self.name, "secret"),
        )
        answered = await self.far.until(hp.Answered)
        assert answered.sdp is not None
        self.meet(answered.sdp)

    async def press(self, digit: str) -> None:
        """Press a key: SIP INFO, as phones without telephone events send it (RFC 6086)."""
        self.far.do("info", self.session, f"Signal={digit}\r\nDuration=160\r\n", "application/dtmf-relay")

    async def offer(self, direction: str, number: int) -> None:
        """Hold or resume: send nothing during a hold."""
        self.sends = direction == "sendrecv"
        self.far.do("reinvite", self.session, self.sdp(direction, number + 1))
        await self.far.until(hp.OfferAnswered, number)


@asynccontextmanager
async def speakers(*tones: tuple[str, float]) -> AsyncIterator[list[Speaker]]:
    async with AsyncExitStack() as stack:
        made = [Speaker(await stack.enter_async_context(phone()), name, hz) for name, hz in tones]
        running = [asyncio.create_task(one.run()) for one in made]
        try:
            yield made
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            for one in made:
                one.close()


def is_tone(hz: float) -> Callable[[Pcm], bool]:
    return lambda sound: level(sound) > 300 and share(sound, hz, RATE) > 0.9


def is_silent(sound: Pcm) -> bool:
    return level(sound) < 20
