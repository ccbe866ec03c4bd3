"""The legs of one call: an endpoint and a port in the engine each."""

import asyncio
import contextlib
from collections.abc import Callable

import msgspec

from softswitch.call import effects as fx
from softswitch.call import reports as r
from softswitch.call.commands import CommandRejected
from softswitch.call.needs import Endpoint, EndpointFactory, LegRequest, Telephone
from softswitch.media import messages as m
from softswitch.switch.owner import Owner
from softswitch.switch.rules import Dial, Refuse, transfer

STATISTICS_S = 1.0
"""How long a closed leg's figures are waited for; a leg that failed before its port was opened has none."""


class Legs:
    """Opens and closes legs and brings what their ports report."""

    def __init__(
        self, owner: Owner, mix: int, party: EndpointFactory | None, on_speech: Callable[[str], None]
    ) -> None:
        """Hold nothing yet.

        Args:
            owner: The conversation.
            mix: Its mix.
            party: Makes the endpoint of the client's own leg, or the caller's; None: whom the client calls.
            on_speech: Told the leg whose party began to speak, before the call is.
        """
        self._owner = owner
        self._resources = owner.resources
        self.mix = mix
        """Where new legs are put."""
        self._party = party
        self._on_speech = on_speech
        self._endpoints: dict[str, Endpoint] = {}
        self._ports: dict[str, int] = {}
        self._names: dict[int, str] = {}
        self._closing: list[Endpoint] = []
        self._closed = asyncio.Event()
        self.statistics: dict[str, dict[str, float]] = {}
        """Figures of the media of each leg that is closed."""

    def prepare(self, effect: fx.PrepareLeg) -> None:
        """Make the endpoint of somebody who calls."""
        self._make(fx.OpenLeg(effect.leg, effect.option))

    def open(self, effect: fx.OpenLeg) -> None:
        """Make an endpoint, or ask again for one that is there, and let it answer or dial."""
        ruled = self._by_rules(effect) if effect.by_rules else effect
        endpoint = self._make(ruled) if ruled is not None else None
        if endpoint is not None:
            endpoint.answer()

    def _by_rules(self, effect: fx.OpenLeg) -> fx.OpenLeg | None:
        """Return what the rules make of a leg; None where they refuse it."""
        telephones = self._resources.telephones
        extension = telephones.extension(effect.callee) if telephones is not None else ""
        if telephones is None or not extension:
            return effect
        caller = effect.option.caller
        match transfer(self._resources.settings, extension, caller, telephones.registered):
            case Refuse() as refusal:
                self._owner.report(r.LegRejected(effect.leg, refusal.code, refusal.reason))
                return None
            case Dial() as dial:
                option = msgspec.structs.replace(effect.option, caller=dial.caller or caller)
                return msgspec.structs.replace(effect, callee=dial.callee, trunk=dial.trunk, option=option)

    def _make(self, effect: fx.OpenLeg) -> Endpoint | None:
        name, option = effect.leg, effect.option
        callee = effect.callee or ("" if self._party is not None else option.callee)
        factory = self._resources.dial(callee) if effect.callee or self._party is None else self._party
        if factory is None:
            self._owner.report(r.LegRejected(name, 404, f"callee: nobody here can reach {callee!r}"))
            return None
        if factory is self._resources.telephones and not (option.caller + callee).isprintable():
            self._owner.report(r.LegRejected(name, 400, "caller and callee are text of one line"))
            return None
        port = self._ports.get(name)
        if port is None:
            port = next(self._resources.ids)
            self._ports[name] = port
            self._names[port] = name
            self._resources.routes.reports(port, self._take)
        request = LegRequest(
            call=self._owner.id,
            leg=name,
            port=port,
            mix=self.mix,
            offer="" if effect.callee else option.offer,
            codec=option.codec,
            sample_rate=option.sample_rate,
            caller=option.caller,
            callee=effect.callee or option.callee,
            headers=option.headers,
            handshake_s=option.handshake_s,
            sip=option.sip,
            trunk=effect.trunk,
            ring_s=effect.ring_s,
        )
        endpoint = self._endpoints[name] = factory(request, self._owner.report)
        return endpoint

    def with_dialog(self, dialog: tuple[str, str, str]) -> str:
        """Return the name of the leg whose SIP dialog this is, or an empty text."""
        legs = self._endpoints.items()
        return next((name for name, leg in legs if isinstance(leg, Telephone) and leg.dialog == dialog), "")

    def telephone(self, name: str, what: str, request_id: str | None = None) -> Telephone:
        """Return the endpoint of a leg that speaks SIP; raises CommandRejected where it does not."""
        endpoint = self.endpoint(name)
        if not isinstance(endpoint, Telephone):
            raise CommandRejected(f"{what}: this leg is no telephone", 422, request_id=request_id)
        return endpoint

    def reject(self, name: str, code: int, reason: str) -> None:
        """Refuse a caller."""
        endpoint = self._endpoints.get(name)
        if isinstance(endpoint, Telephone):
            endpoint.reject(code, reason)

    def endpoint(self, name: str) -> Endpoint:
        """Return the endpoint of a leg; raises CommandRejected where it is not there."""
        if name not in self._endpoints:
            raise CommandRejected(f"the leg {name!r} is not there", 409)
        return self._endpoints[name]

    def port(self, name: str) -> int:
        """Return the port of a leg; raises CommandRejected where it is not there."""
        if name not in self._ports:
            raise CommandRejected(f"the leg {name!r} is not there", 409)
        return self._ports[name]

    def ports(self) -> list[int]:
        """Return the ports of all legs."""
        return list(self._ports.values())

    def close(self, name: str, reason: str, headers: dict[str, str]) -> None:
        """Hang a leg up; one that is gone is left alone."""
        self._ports.pop(name, None)
        endpoint = self._endpoints.pop(name, None)
        if endpoint is not None:
            endpoint.hangup(reason, headers)
            self._closing.append(endpoint)

    async def release(self) -> None:
        """Hang all legs up and wait until they have given everything back; the caller bounds the time."""
        for name in list(self._endpoints):
            self.close(name, "", {})
        while self._closing:
            await self._closing.pop().closed()
        if self._names:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STATISTICS_S):
                    await self._closed.wait()

    def forget(self) -> None:
        """Expect no more reports."""
        for port in self._names:
            self._resources.routes.remove(port)
        self._names.clear()

    def _take(self, report: m.Report) -> None:
        name = self._names.get(getattr(report, "port", 0), "")
        match report:
            case m.SpeechStarted():
                self._on_speech(name)
                self._owner.report(r.SpeechStarted(name, report.began))
            case m.SpeechStopped():
                self._owner.report(r.SpeechStopped(name, report.began, report.ended))
            case m.DigitReceived():
                self._owner.report(
                    r.DigitReceived(
                        name, report.digit, report.duration_ms, report.method, crossed=report.crossed
                    )
                )
            case m.MediaSilent():
                self._owner.report(r.MediaSilent(name, report.seconds))
            case m.MediaResumed():
                self._owner.report(r.MediaResumed(name, report.seconds))
            case m.PortFailed():
                self._owner.report(r.LegFailed(name, "media", report.error))
            case m.PortClosed():
                self._port_closed(name, report)
            case _:
                pass  # That digits were sent is not told to clients.

    def _port_closed(self, name: str, report: m.PortClosed) -> None:
        self.statistics[name] = report.statistics
        self._resources.routes.remove(report.port)
        del self._names[report.port]
        if not self._names:
            self._closed.set()
