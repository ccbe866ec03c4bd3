"""Whom a callee stands for: the devices of a user, a number on a trunk, an address in a trusted network."""

from collections.abc import Callable
from typing import Literal

from softswitch.call.needs import LegRequest
from softswitch.endpoints.sip.identity import (
    checked,
    name_addr,
    number,
    read_callee,
    sip_uri,
    user_of,
    written,
)
from softswitch.endpoints.sip.media_shared import MediaWish, Srtp
from softswitch.endpoints.sip.outgoing import Destination, DialError, Dialled
from softswitch.endpoints.sip.own_addresses import OwnAddresses
from softswitch.endpoints.sip.phones import Phones
from softswitch.endpoints.sip.resolve import Resolver
from softswitch.endpoints.sip.trunk import Trunk
from softswitch.endpoints.sip.trunks import Trunks
from softswitch.settings import Sip
from softswitch.settings.telephones import Server
from softswitch.sip.digest import Credentials
from softswitch.sip.flow import Flow
from softswitch.sip.invitation import Invitation
from softswitch.sip.uri import URI, number_of

Dtmf = Literal["auto", "rfc4733", "info", "inband"]

_SRTP: dict[str, Srtp] = {"off": "off", "allowed": "allowed", "required": "sdes"}
"""What [sip] srtp means for the media of a leg; "required" offers keys in the description."""


class Dialplan:
    """Finds out where to send an INVITE, and as whom."""

    def __init__(
        self,
        sip: Sip,
        trunks: Trunks,
        phones: Phones,
        own: OwnAddresses,
        resolver: Resolver,
        trusted: Callable[[str], bool],
    ) -> None:
        """Dial by what the settings say.

        Args:
            sip: codecs and encryption.
            trunks: where numbers go.
            phones: where users are.
            own: by which of our addresses a far end reaches us.
            resolver: finds hosts of URIs.
            trusted: which addresses may be called without a trunk.
        """
        self._sip = sip
        self._trunks = trunks
        self._phones = phones
        self._own = own
        self._resolver = resolver
        self._trusted = trusted

    async def dial(self, request: LegRequest) -> Dialled:
        """Find out whom a request calls.

        Raises:
            DialError: nobody is there, or it is not allowed.
            NotNowError: a trunk is full, or a name cannot be resolved now.
        """
        callee = request.callee.strip()
        if callee.startswith("user:"):
            return self._to_user(callee.removeprefix("user:"), request)
        uri = read_callee(callee)
        foreign = uri is not None and uri.scheme != "tel" and not self._own.is_ours(uri.host, uri.port)
        dialled = number_of(uri) if uri is not None else number(callee)
        if request.trunk:
            trunk = self._trunks.get(request.trunk)
            if trunk is None:
                raise DialError(404, f"trunk: there is no [[trunk]] named {request.trunk!r}")
            return await self._to_trunk(trunk, dialled, request)
        if foreign and uri is not None:
            if trunk := self._trunks.of_server(uri.host.strip("[]"), uri.port):
                return await self._to_trunk(trunk, dialled, request)
            return await self._to_address(uri, request)
        if dialled in self._phones:
            return self._to_user(dialled, request)
        trunk = self._trunks.default()
        if trunk is None:
            raise DialError(404, "callee: no [[user]] has this name, and there is no [[trunk]]")
        return await self._to_trunk(trunk, dialled, request)

    def extension(self, callee: str) -> str:
        """Return the number or name in a URI of ours, or what is no URI; "" for one of somebody else's."""
        uri = read_callee(callee)
        if uri is None:
            return number(callee)
        return number_of(uri) if uri.scheme == "tel" or self._own.is_ours(uri.host, uri.port) else ""

    # --- users ------------------------------------------------------------------------------

    def _to_user(self, name: str, request: LegRequest) -> Dialled:
        if name not in self._phones:
            raise DialError(404, f"callee: there is no [[user]] named {name!r}")
        bindings = self._phones.contacts(name)
        if not bindings:
            raise DialError(480, f"callee: no device of {name!r} is registered")
        destinations = []
        for binding in bindings:
            flow = self._written(binding.flow)
            domain = self._domain(flow)
            invitation = self._invitation(
                request,
                str(binding.contact.uri),
                self._from(request, domain),
                name_addr(sip_uri(name, domain)),
                (flow,),
            )
            wish = self.wish(request, flow.host, far_webrtc=flow.transport in ("ws", "wss"))
            destinations.append(Destination(invitation, wish))
        return Dialled(tuple(destinations), lambda: None)

    # --- trunks -----------------------------------------------------------------------------

    async def _to_trunk(self, trunk: Trunk, dialled: str, request: LegRequest) -> Dialled:
        if not dialled:
            raise DialError(484, "callee: no number")
        settings = trunk.settings
        called = settings.rewritten(dialled)
        if not trunk.allows(called):
            raise DialError(403, f"callee: trunk {trunk.name!r} does not allow this number (prefixes)")
        if not trunk.targets:
            await trunk.refresh()
        flows = trunk.flows()
        if not flows:
            raise DialError(503, f"trunk: no server of {trunk.name!r} can be found")
        from_, asserted = trunk.identity(trunk.caller(self._caller_number(request.caller)))
        address = sip_uri(called, trunk.host)
        invitation = self._invitation(
            request,
            address,
            from_,
            name_addr(address),
            flows,
            credentials=trunk.credentials,
            asserted=asserted,
            contact_user=settings.username,
        )
        wish = self.trunk_wish(trunk, request, flows[0].host)
        return Dialled((Destination(invitation, wish),), trunk.enter(), trunk.name)

    def _caller_number(self, caller: str) -> str:
        """Return what a caller shows outside: a user's own number where he has one."""
        shown = user_of(caller)
        user = self._phones.user(shown)
        return user.caller_id if user is not None else shown

    # --- addresses --------------------------------------------------------------------------

    async def _to_address(self, uri: URI, request: LegRequest) -> Dialled:
        wanted = (uri.parameters.get("transport") or "").lower()
        transport: Literal["", "udp", "tcp", "tls"] = ""
        if uri.scheme == "sips" or wanted == "tls":
            transport = "tls"
        elif wanted == "tcp":
            transport = "tcp"
        elif wanted == "udp":
            transport = "udp"
        targets = await self._resolver.resolve(Server(uri.host.strip("[]"), uri.port or 0, transport))
        if not all(self._trusted(target.host) for target in targets):
            raise DialError(
                403, "callee: this host is no server of a [[trunk]], and not in the networks of [sip] allow"
            )
        flows = []
        for target in targets:
            host, port = self._own.signalling(target.transport, target.host)
            either = target.transport == "udp" and not transport
            flows.append(Flow(target.transport, target.host, target.port, 0, host, port, or_tcp=either))
        invitation = self._invitation(
            request,
            str(uri),
            self._from(request, self._domain(flows[0])),
            name_addr(str(uri)),
            tuple(flows),
        )
        return Dialled((Destination(invitation, self.wish(request, flows[0].host)),), lambda: None)

    # --- what all of them have in common ----------------------------------------------------

    def wish(
        self,
        request: LegRequest,
        remote: str,
        *,
        codecs: tuple[str, ...] = (),
        srtp: Srtp | None = None,
        dtmf: Dtmf = "auto",
        far_webrtc: bool = False,
    ) -> MediaWish:
        """Return what is wanted of the media of a leg whose far end is at `remote`."""
        return MediaWish(
            codecs=codecs or self._sip.codecs,
            preferred=request.codec,
            srtp=srtp or _SRTP[self._sip.srtp],
            dtmf=dtmf,
            far_webrtc=far_webrtc,
            address=self._own.media(remote),
            handshake_s=request.handshake_s,
        )

    def trunk_wish(self, trunk: Trunk, request: LegRequest, remote: str) -> MediaWish:
        """Return what is wanted of the media of a trunk's leg."""
        settings = trunk.settings
        return self.wish(
            request,
            remote,
            codecs=settings.codecs,
            srtp="allowed" if settings.srtp == "off" else settings.srtp,
            dtmf=settings.dtmf,
        )

    def _invitation(
        self,
        request: LegRequest,
        uri: str,
        from_: str,
        to: str,
        targets: tuple[Flow, ...],
        *,
        credentials: Credentials | None = None,
        asserted: dict[str, str] | None = None,
        contact_user: str = "",
    ) -> Invitation:
        option = request.sip
        if option.username and option.password:
            credentials = Credentials(option.username, option.password, option.realm)
        return Invitation(
            request_uri=uri,
            from_=from_,
            to=to,
            targets=targets,
            contact_user=contact_user or option.username,
            contact=option.contact,
            headers={**(asserted or {}), **checked({**request.headers, **option.headers})},
            credentials=credentials,
        )

    def _from(self, request: LegRequest, domain: str) -> str:
        caller = request.caller.strip() or request.sip.username or "softswitch"
        uri = read_callee(caller)
        return name_addr(str(uri) if uri is not None else sip_uri(number(caller), domain))

    def _domain(self, flow: Flow) -> str:
        return next(iter(self._sip.domains), "") or written(flow.local_host)

    def _written(self, flow: Flow) -> Flow:
        """Return a flow with our address as its far end should see it."""
        host, port = self._own.signalling(flow.transport, flow.host)
        return Flow(flow.transport, flow.host, flow.port, flow.connection, host, port)
