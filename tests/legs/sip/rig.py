"""A real `SipEndpoints` with a real engine and an echo behind every call, without a switch."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from softswitch.call.interfaces import IncomingCall, LegRequest
from softswitch.call.vocabulary.reports import LegAnswered, LegEnded, LegFailed, LegRejected, Report
from softswitch.legs.local.echo_and_tone import local_dialers
from softswitch.legs.sip.leg.leg import SipLeg
from softswitch.legs.sip.server import SipEndpoints
from softswitch.media import messages as m
from softswitch.media.engine.engine import Engine
from softswitch.settings import Egress, Ice, Rtp, Settings, Sip, Trunk, User
from softswitch.switch.routes import Routes

Kind = TypeVar("Kind", bound=Report)
WAIT_S = 60.0


class Party:
    """One leg, and all that it reports."""

    def __init__(self, rig: "Rig", incoming: IncomingCall | None = None) -> None:
        self.rig = rig
        self.incoming = incoming
        self.reports: list[Report] = []
        self.digits: list[str] = []
        self._sound = bytearray()
        self.port, self.mix = next(rig.ids), next(rig.ids)
        self.leg: SipLeg
        self.on_report: Callable[[Report], None] = lambda report: None
        self._changed = asyncio.Event()
        rig.routes.reports(self.port, self._from_engine)

    def request(self, **fields: Any) -> LegRequest:
        return LegRequest(call="c", leg="a", port=self.port, mix=self.mix, **fields)

    def report(self, report: Report) -> None:
        self.reports.append(report)
        self._changed.set()
        self.on_report(report)

    def of(self, kind: type[Kind]) -> list[Kind]:
        return [report for report in self.reports if isinstance(report, kind)]

    async def until(self, kind: type[Kind], number: int = 1, seconds: float = WAIT_S) -> Kind:
        """Wait for the nth report of a kind."""
        try:
            async with asyncio.timeout(seconds):
                while len(self.of(kind)) < number:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"no {kind.__name__} among {self.reports}") from None
        return self.of(kind)[number - 1]

    def _from_engine(self, report: m.Report) -> None:
        if isinstance(report, m.DigitReceived):
            self.digits.append(report.digit)
            self._changed.set()

    async def until_digits(self, digits: str, seconds: float = WAIT_S) -> None:
        """Wait until these digits were heard."""
        try:
            async with asyncio.timeout(seconds):
                while "".join(self.digits) != digits:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"digits {self.digits}, not {digits}") from None

    def listen(self) -> None:
        """Keep what the party says, once its port is open."""
        tap = next(self.rig.ids)
        self.rig.routes.frames(tap, self._sound.extend)
        self.rig.engine.post(m.AddTap(tap, self.port, sample_rate=8000))

    @property
    def sound(self) -> NDArray[np.int16]:
        """Return what the party said since `listen`, at 8 kHz."""
        return np.frombuffer(bytes(self._sound), np.int16)

    def echo(self) -> None:
        """Let the party hear itself."""
        request = LegRequest(call="c", leg="b", port=next(self.rig.ids), mix=self.mix)
        self.rig.dialers["echo"](request, lambda report: None).answer()


class Rig:
    """The endpoints, the engine, and the parties so far."""

    def __init__(self, settings: Settings, **options: Any) -> None:
        self.engine = Engine()
        self.routes = Routes()
        self.ids = count(1)
        self.dialers = local_dialers(self.engine, self.routes.frames)
        self.endpoints = SipEndpoints(settings, self.engine, self._incoming, **options)
        self.parties: list[Party] = []
        self.on_call: Callable[[IncomingCall], None] = self.answer
        self.echo = True
        self._called: asyncio.Queue[Party] = asyncio.Queue()

    @property
    def port(self) -> int:
        return self.endpoints.port

    def party(self, incoming: IncomingCall | None = None) -> Party:
        party = Party(self, incoming)
        self.parties.append(party)
        return party

    def _incoming(self, call: IncomingCall) -> None:
        self.on_call(call)

    def take(self, call: IncomingCall) -> Party:
        """Make the leg of a call, and say nothing to it yet."""
        party = self.party(call)
        leg = call.party(party.request(), party.report)
        assert isinstance(leg, SipLeg)
        party.leg = leg
        self._called.put_nowait(party)
        return party

    def answer(self, call: IncomingCall) -> None:
        """Answer a call, and echo."""
        party = self.take(call)
        if self.echo:
            party.echo()
        party.leg.answer()

    async def called(self) -> Party:
        """Return the next call that came in."""
        async with asyncio.timeout(WAIT_S):
            return await self._called.get()

    def dial(self, callee: str, **fields: Any) -> Party:
        """Place a call."""
        party = self.party()
        party.leg = self.endpoints(party.request(callee=callee, **fields), party.report)
        if self.echo:
            party.echo()
        party.leg.answer()
        return party

    async def outcome(self, party: Party) -> Report:
        """Wait until a call that was placed is answered or refused."""
        kinds = (LegAnswered, LegRejected, LegFailed, LegEnded)
        async with asyncio.timeout(WAIT_S):
            while not (found := [report for report in party.reports if isinstance(report, kinds)]):
                party._changed.clear()
                await party._changed.wait()
        return found[0]


def settings(
    sip: dict[str, Any] | None = None,
    *,
    trunks: tuple[Trunk, ...] = (),
    users: tuple[User, ...] = (),
    ports: tuple[int, int] = (45000, 47999),
) -> Settings:
    return Settings(
        sip=Sip(port=0, **(sip or {})),
        rtp=Rtp(port_min=ports[0], port_max=ports[1]),
        ice=Ice(host_addresses=("127.0.0.1",)),
        trunk=trunks,
        user=users,
        # Telephones of tests listen at whatever port is free.
        egress=Egress(allow=("127.0.0.0/8", "::1/128")),
    )


@asynccontextmanager
async def rig(chosen: Settings | None = None, **options: Any) -> AsyncIterator[Rig]:
    made = Rig(chosen or settings(), **options)
    loop = asyncio.get_running_loop()

    def deliver(output: m.Output) -> None:
        for port, datagram in output.datagrams:
            made.endpoints.send(port, datagram)
        made.routes.deliver(output)

    def emit(output: m.Output) -> None:
        loop.call_soon_threadsafe(deliver, output)

    made.engine.start(emit)
    try:
        await made.endpoints.start()
        yield made
    finally:
        await made.endpoints.stop()
        made.engine.stop()
