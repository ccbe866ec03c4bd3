"""The legs of one call, each an endpoint and a port in the engine."""

import asyncio
import time
from collections.abc import Callable
from typing import assert_never

import msgspec

from softswitch.call.interfaces import Endpoint, EndpointFactory, LegRequest, Telephone
from softswitch.call.parties import PARTY
from softswitch.call.vocabulary import effects as fx
from softswitch.call.vocabulary import reports as r
from softswitch.call.vocabulary.rejection import CommandRejected, Reason
from softswitch.flags import Flag
from softswitch.media import messages as m
from softswitch.signals import PortReport
from softswitch.switch.conversation.naming import is_for_call, with_leg
from softswitch.switch.conversation.owner import Owner
from softswitch.switch.conversation.quality import QualitySeries
from softswitch.switch.quality_point import point_of
from softswitch.switch.rules import Dial, Refuse, transfer

MOST_LEGS = 16
"""Most legs of a call whose quality is kept."""
STATISTICS_S = 1.0
"""Longest wait for the statistics of closed ports, seconds; a leg that failed early has no port."""


class Legs:
    """The legs of one call by name, and the reports of their ports."""

    def __init__(
        self, owner: Owner, mix: int, party: EndpointFactory | None, on_speech: Callable[[str], None]
    ) -> None:
        """Make a set without legs.

        Args:
            owner: The conversation.
            mix: Its mix.
            party: Makes the endpoint of the client or caller; None: the party is dialled by its callee.
            on_speech: Called with the name of a leg whose party begins to speak, before the call knows.
        """
        self._owner = owner
        self._resources = owner.resources
        self.mix = mix
        """Mix that new legs join."""
        self._party = party
        self._on_speech = on_speech
        self._endpoints: dict[str, Endpoint] = {}
        self._ports: dict[str, int] = {}
        self._names: dict[int, str] = {}
        self._closing: list[Endpoint] = []
        self._closed = Flag()
        self.statistics: dict[str, dict[str, float]] = {}
        """Media statistics of each closed leg."""
        self.quality: dict[str, QualitySeries] = {}
        """Quality over time of each leg with packets."""

    def carry(
        self,
        effect: fx.PrepareLeg
        | fx.OpenLeg
        | fx.RingLeg
        | fx.RejectLeg
        | fx.OfferLeg
        | fx.AddLegCandidates
        | fx.SendLegDigits,
    ) -> None:
        """Execute an effect on one leg; raises CommandRejected where the leg is not there."""
        match effect:
            case fx.PrepareLeg():
                self._make(fx.OpenLeg(effect.leg, effect.option))
            case fx.OpenLeg():
                self._open(effect)
            case fx.RingLeg():
                self.endpoint(effect.leg).ring(effect.early_media)
            case fx.RejectLeg():
                self._reject(effect)
            case fx.OfferLeg():
                self.endpoint(effect.leg).offer(effect.sdp)
            case fx.AddLegCandidates():
                self.endpoint(effect.leg).candidates(effect.candidates)
            case fx.SendLegDigits():
                self.endpoint(effect.leg).dtmf(effect.digits)
            case _:
                assert_never(effect)

    def _open(self, effect: fx.OpenLeg) -> None:
        """Make an endpoint, or ask again for one that exists, and let it answer or dial."""
        ruled = self._by_rules(effect) if effect.by_rules else effect
        endpoint = self._make(ruled) if ruled is not None else None
        if endpoint is not None:
            endpoint.answer()

    def _by_rules(self, effect: fx.OpenLeg) -> fx.OpenLeg | None:
        """Return the leg as the rules of the settings change it; None if they refuse it."""
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
            self._owner.report(r.LegRejected(name, 404, f"callee: this switch cannot reach {callee!r}"))
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
        if self._owner.trace is not None:
            self._owner.trace.leg_opened(name, self._now())
        request = LegRequest(
            call=self._owner.id,
            leg=name,
            port=port,
            mix=self.mix,
            offer="" if effect.callee else option.offer,
            trickle=option.trickle,
            codec=option.codec,
            sample_rate=option.sample_rate,
            live=option.live,
            caller=option.caller,
            callee=effect.callee or option.callee,
            headers=option.headers,
            handshake_s=option.handshake_s,
            sip=option.sip,
            trunk=effect.trunk,
            ring_s=effect.ring_s,
            account=self._owner.asker.account,
            is_internal=self._owner.is_internal,
            may_return=self._owner.call.resume_token is not None,
            early_media=effect.early_media,
        )
        endpoint = self._endpoints[name] = factory(request, self._owner.report)
        return endpoint

    def with_dialog(self, dialog: tuple[str, str, str]) -> str:
        """Return the name of the leg that has a SIP dialog, or an empty string."""
        legs = self._endpoints.items()
        return next((name for name, leg in legs if isinstance(leg, Telephone) and leg.dialog == dialog), "")

    def telephone(self, name: str, what: str, request_id: str | None = None) -> Telephone:
        """Return the endpoint of a SIP leg.

        Args:
            name: Name of the leg.
            what: What only a SIP leg can do, for the rejection.
            request_id: That of the command.

        Raises:
            CommandRejected: 422: the leg is not a SIP leg; 409: there is no such leg.
        """
        endpoint = self.endpoint(name)
        if not isinstance(endpoint, Telephone):
            raise CommandRejected(Reason.NO_TELEPHONE, 422, request_id=request_id, value=what)
        return endpoint

    def _reject(self, effect: fx.RejectLeg) -> None:
        endpoint = self._endpoints.get(effect.leg)
        if isinstance(endpoint, Telephone):
            endpoint.reject(effect.code, effect.reason)

    def endpoint(self, name: str) -> Endpoint:
        """Return the endpoint of a leg; raises CommandRejected if there is no such leg."""
        if name not in self._endpoints:
            raise CommandRejected(Reason.UNKNOWN_LEG, 409, field="leg", value=name)
        return self._endpoints[name]

    def port(self, name: str) -> int:
        """Return the port of a leg; raises CommandRejected if there is no such leg."""
        if name not in self._ports:
            raise CommandRejected(Reason.UNKNOWN_LEG, 409, field="leg", value=name)
        return self._ports[name]

    def port_of(self, name: str) -> int | None:
        """Return the port of a leg; None where there is no such leg."""
        return self._ports.get(name)

    def ports(self) -> list[int]:
        """Return the ports of all legs."""
        return list(self._ports.values())

    def close(self, name: str, reason: str, headers: dict[str, str]) -> None:
        """Hang up a leg, if it still exists."""
        self._ports.pop(name, None)
        endpoint = self._endpoints.pop(name, None)
        if self._owner.trace is not None:
            self._owner.trace.leg_closed(name, self._now(), _trunk(endpoint))
        if endpoint is not None:
            endpoint.hangup(reason, headers)
            self._closing.append(endpoint)

    async def release(self) -> None:
        """Hang up all legs and wait until they have released everything; the caller bounds the time."""
        for name in list(self._endpoints):
            self.close(name, "", {})
        while self._closing:
            await self._closing.pop().closed()
        if self._names:
            patience = asyncio.get_running_loop().call_later(STATISTICS_S, self._closed.set)
            try:
                await self._closed.wait()
            finally:
                patience.cancel()

    def forget(self) -> None:
        """Stop receiving reports of the ports."""
        for port in self._names:
            self._resources.routes.remove(port)
        self._names.clear()

    def _take(self, report: m.Report) -> None:
        """Pass a report of a port on to the call, under the name of the leg."""
        if not isinstance(report, PortReport):
            return
        name = self._names.get(report.port, "")
        match report:
            case _ if is_for_call(report):
                if isinstance(report, m.SpeechStarted):
                    self._on_speech(name)
                self._owner.report(with_leg(report, name))
            case m.PortQuality():
                self._add_quality(name, report)
            case m.PortClosed():
                self._port_closed(name, report)
            case m.PortFailed():
                self._owner.report(r.LegFailed(name, "media", report.error))
            case _:
                pass  # DigitsSent, for example: no event tells clients of it.

    def _add_quality(self, name: str, report: m.PortQuality) -> None:
        endpoint, point = self._endpoints.get(name), point_of(report)
        path = _path(endpoint)
        if name not in self.quality and len(self.quality) < MOST_LEGS:
            self.quality[name] = QualitySeries(name)
        if name in self.quality:
            self.quality[name].add(round(self._owner.call.clock(report.at) * 1000), point, report.codec, path)
        trunk = _trunk(endpoint)
        if not trunk and name == PARTY and self._owner.direction == "inbound":
            trunk = self._owner.source.trunk
        if trunk:
            self._resources.trunks.add(trunk, point)

    def _now(self) -> float:
        """Return epoch seconds by the clock of the call."""
        return self._owner.call.clock(time.monotonic())

    def _port_closed(self, name: str, report: m.PortClosed) -> None:
        self.statistics[name] = report.statistics
        self._resources.routes.remove(report.port)
        del self._names[report.port]
        if not self._names:
            self._closed.set()


def _path(endpoint: Endpoint | None) -> str:
    """Return the way of an endpoint's media in words: local and remote end; "" where it does not know."""
    path: str = getattr(endpoint, "path", "")
    return path


def _trunk(endpoint: Endpoint | None) -> str:
    """Return the name of the trunk that an endpoint was dialled over, "" for none."""
    trunk: str = getattr(endpoint, "trunk", "")
    return trunk
