"""The dial plan: which devices, trunk or address a callee stands for, and the INVITE for each."""

from dataclasses import replace
from typing import Literal, Never

import msgspec

from softswitch.call.interfaces import LegRequest
from softswitch.egress.names import Asker
from softswitch.legs.sip.accounts.identity import (
    checked,
    name_addr,
    number,
    read_callee,
    sip_uri,
    user_of,
    written,
)
from softswitch.legs.sip.accounts.phones import Phones
from softswitch.legs.sip.accounts.trunk import Trunk
from softswitch.legs.sip.accounts.trunks import Trunks
from softswitch.legs.sip.addressing.own_addresses import OwnAddresses
from softswitch.legs.sip.addressing.resolve import Resolver
from softswitch.legs.sip.addressing.trunk_servers import TrunkServers
from softswitch.legs.sip.destinations import Destination, Dialled, FarPhones, FindFar, Forwarding
from softswitch.legs.sip.dial_error import DialError
from softswitch.legs.sip.media.shared import MediaOptions, Srtp
from softswitch.legs.sip.routing.dial_check import DialCheck
from softswitch.settings import Sip
from softswitch.settings import Trunk as TrunkSettings
from softswitch.settings.telephones import Server
from softswitch.sip.security.digest import Credentials
from softswitch.sip.session.invitation import Invitation
from softswitch.sip.syntax.hosts import canonical
from softswitch.sip.syntax.uri import URI, number_of
from softswitch.sip.transaction.flow import Flow

Dtmf = Literal["auto", "rfc4733", "info", "inband"]

_SRTP: dict[str, Srtp] = {"off": "off", "allowed": "allowed", "required": "sdes"}
"""Keying of the media for each value of `[sip] srtp`; "required" offers SDES keys (RFC 4568)."""


def _no_rules(extension: str, caller: str) -> Never:
    """Refuse: there are no rules to call by."""
    raise DialError(403, f"redirection: no rule of the settings lets {caller!r} call {extension!r}")


class Dialplan:
    """Destinations of outgoing calls: users, trunks and addresses."""

    def __init__(
        self,
        sip: Sip,
        trunks: Trunks,
        phones: Phones,
        own: OwnAddresses,
        resolver: Resolver,
        *,
        servers: TrunkServers,
        check: DialCheck,
    ) -> None:
        """Prepare from the settings.

        Args:
            sip: codecs and encryption.
            trunks: trunks for numbers.
            phones: registered devices of users.
            own: returns the local address to announce to a peer.
            resolver: resolves the hosts of URIs.
            servers: addresses that may be reached over a trunk only.
            check: addresses that may be dialled without a trunk.
        """
        self._sip = sip
        self._trunks = trunks
        self._phones = phones
        self._own = own
        self._resolver = resolver
        self._servers = servers
        self._check = check
        self.forwarding: Forwarding = _no_rules
        """Rules for what a user's device redirects to."""
        self.far: FindFar = lambda machine, user: None
        """Finds the phones of users that are connected with other machines of this switch."""

    @property
    def redirects(self) -> int:
        """Return how many redirections one call may follow."""
        return self._sip.follow_redirects

    async def dial(self, request: LegRequest) -> Dialled:
        """Find the destinations of a request.

        Raises:
            DialError: the callee does not exist, or may not be dialled.
            NotNowError: a limit of the trunk is reached, or a name cannot be resolved now.
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
            if trunk := self._trunks.of_server(uri.host, uri.port):
                return await self._to_trunk(trunk, dialled, request)
            return await self._to_address(uri, request)
        if dialled in self._phones:
            return self._to_user(dialled, request)
        trunk = self._trunks.default()
        if trunk is None:
            raise DialError(404, "callee: no [[user]] has this name, and there is no [[trunk]]")
        return await self._to_trunk(trunk, dialled, request)

    async def redirect(self, request: LegRequest, origin: Dialled, target: str) -> Dialled:
        """Find the destinations of a URI that a destination redirects to (3xx), within the rules.

        A trunk may redirect to a number over itself, a user's device to whatever the rules of the settings
        let users call. Any peer may redirect to a user of this switch, and to an address that a client might
        dial itself. No other redirection uses a trunk: a peer must not choose what the operator pays for.

        Args:
            request: The request that the call was made for.
            origin: What redirects.
            target: The URI.

        Raises:
            DialError: the target is malformed, does not exist, or may not be called.
            NotNowError: a limit of the trunk is reached, or a name cannot be resolved now.
        """
        uri = read_callee(target)
        if uri is None:
            raise DialError(400, "redirection: the target is not a SIP URI")
        # The password of the option is for the callee that the client chose.
        request = msgspec.structs.replace(
            request, trunk="", sip=msgspec.structs.replace(request.sip, password="")
        )
        local = uri.scheme == "tel" or self._own.is_ours(uri.host, uri.port)
        dialled = number_of(uri)
        if local and origin.user:
            forwarded = self.forwarding(dialled, request.caller)
            return await self.dial(
                msgspec.structs.replace(
                    request,
                    callee=forwarded.callee,
                    trunk=forwarded.trunk,
                    caller=forwarded.caller or request.caller,
                )
            )
        if local and dialled in self._phones and uri.scheme != "tel":
            return self._to_user(dialled, request)
        trunk = self._trunks.get(origin.trunk)
        if trunk is not None and (local or self._trunks.of_server(uri.host, uri.port) is trunk):
            return await self._within_trunk(trunk, uri, request, local=local)
        if local:
            raise DialError(403, "redirection: only the devices of a user and a trunk itself lead to numbers")
        found = await self.dial(msgspec.structs.replace(request, callee=str(replace(uri, headers=""))))
        if found.trunk and found.trunk != origin.trunk and not origin.user:
            found.release()
            raise DialError(403, "redirection: the target is a server of a [[trunk]]")
        return found

    def extension(self, callee: str) -> str:
        """Return the number or name in a local URI or plain callee; "" for a URI of another domain."""
        uri = read_callee(callee)
        if uri is None:
            return number(callee)
        return number_of(uri) if uri.scheme == "tel" or self._own.is_ours(uri.host, uri.port) else ""

    # --- users ------------------------------------------------------------------------------

    def _to_user(self, name: str, request: LegRequest) -> Dialled:
        if name not in self._phones:
            raise DialError(404, f"callee: there is no [[user]] named {name!r}")
        bindings = self._phones.contacts(name)
        # A call that another machine has sent here for the phones of this one goes no further.
        machines = [] if request.is_internal else self._phones.machines(name)
        far = [found for machine in machines if (found := self.far(machine, name)) is not None]
        if not bindings and not far:
            raise DialError(480, f"callee: no device of {name!r} is registered")
        destinations = []
        for binding in bindings:
            flow = self._written(binding.target)
            if not flow.connection and not self._may_call(flow, binding.flow):
                # A device may register any Contact and Path: they must not bypass the rules of a trunk.
                continue
            domain = self._domain(flow)
            uri, route = binding.route()
            invitation = self._invitation(
                request,
                str(uri),
                self._from(request, domain),
                name_addr(sip_uri(name, domain)),
                (flow,),
                route=route,
            )
            options = self.media_options(request, flow.host, is_browser=flow.transport in ("ws", "wss"))
            destinations.append(Destination(invitation, options))
        destinations += [self._to_machine(name, found, request) for found in far]
        if not destinations:
            raise DialError(
                403, f"callee: the Contact or Path of {name!r} is the address of a server of a [[trunk]]"
            )
        return Dialled(tuple(destinations), lambda: None, user=name)

    def _to_machine(self, name: str, found: FarPhones, request: LegRequest) -> Destination:
        """Return the other machine that is to call the phones of a user, by an internal leg."""
        flow = self._written(Flow("udp", found.host, found.port))
        domain = self._domain(flow)
        invitation = self._invitation(
            request,
            sip_uri("leg", f"{written(found.host)}:{found.port}"),
            self._from(request, domain),
            name_addr(sip_uri(name, domain)),
            (flow,),
        )
        invitation = replace(invitation, headers={**invitation.headers, **found.headers}, credentials=None)
        return Destination(invitation, self.media_options(request, found.host, srtp="off"))

    def _may_call(self, flow: Flow, registered: Flow) -> bool:
        """Tell whether a device may be called there: no trunk's server, no host that could not be dialled."""
        if self._is_server(flow.host, flow.port):
            return False
        if flow.host == registered.host:
            return True
        try:
            self._check.check(flow.host, flow.port)
        except DialError:
            return False
        return True

    def _is_server(self, host: str, port: int) -> bool:
        return self._trunks.has_target(host, port) or self._servers.is_server(host, port)

    # --- trunks -----------------------------------------------------------------------------

    async def _within_trunk(self, trunk: Trunk, uri: URI, request: LegRequest, *, local: bool) -> Dialled:
        """Dial what a trunk redirects to: a number as the trunk writes it, at the server that it names."""
        found = await self._to_trunk(trunk, number_of(uri), request, rewrite=False)
        if local:
            return found
        (destination,) = found.destinations
        named = canonical(uri.host)
        flows = sorted(destination.invitation.targets, key=lambda flow: canonical(flow.host) != named)
        invitation = replace(
            destination.invitation, request_uri=str(replace(uri, headers="")), targets=tuple(flows)
        )
        return replace(found, destinations=(replace(destination, invitation=invitation),))

    async def _to_trunk(
        self, trunk: Trunk, dialled: str, request: LegRequest, *, rewrite: bool = True
    ) -> Dialled:
        if not dialled:
            raise DialError(484, "callee: a number is missing")
        settings = trunk.settings
        called = settings.rewritten(dialled) if rewrite else dialled
        if not trunk.allows(called):
            raise DialError(403, f"callee: trunk {trunk.name!r} does not allow this number (prefixes)")
        if not trunk.targets:
            await trunk.refresh()
        flows = trunk.flows()
        if not flows:
            raise DialError(503, f"trunk: no server of {trunk.name!r} can be resolved")
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
        options = self.trunk_media_options(trunk, request, flows[0].host)
        return Dialled((Destination(invitation, options),), trunk.admit_call(), trunk.name)

    def _caller_number(self, caller: str) -> str:
        """Return the caller id for a call: the `caller_id` of a user, else the number or name itself."""
        shown = user_of(caller)
        user = self._phones.user(shown)
        return user.caller_id if user is not None else shown

    # --- addresses --------------------------------------------------------------------------

    async def _to_address(self, uri: URI, request: LegRequest) -> Dialled:
        # A Request-URI carries no headers (RFC 3261 section 19.1.1); a client could set reserved ones that
        # way.
        uri = replace(uri, headers="")
        wanted = (uri.parameters.get("transport") or "").lower()
        transport: Literal["", "udp", "tcp", "tls"] = ""
        if uri.scheme == "sips" or wanted == "tls":
            transport = "tls"
        elif wanted == "tcp":
            transport = "tcp"
        elif wanted == "udp":
            transport = "udp"
        host = canonical(uri.host)
        asker = Asker(request.account, request.call)
        targets = await self._resolver.resolve(Server(host, uri.port or 0, transport), asker)
        await self._servers.refresh()
        for target in targets:
            if found := self._servers.at(target.host, target.port, host):
                return await self._to_server(found, uri, request)
        for target in targets:
            self._check.check(target.host, target.port)
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
        return Dialled((Destination(invitation, self.media_options(request, flows[0].host)),), lambda: None)

    async def _to_server(self, found: TrunkSettings, uri: URI, request: LegRequest) -> Dialled:
        """Dial a URI that leads to a trunk's server, in any notation: the rules of the trunk apply."""
        trunk = self._trunks.get(found.name)
        if trunk is None:
            raise DialError(
                403,
                f"callee: the address of trunk {found.name!r} (pyvoip): set `trunk`, and dial a number",
            )
        return await self._to_trunk(trunk, number_of(uri), request)

    # --- parts of every invitation ----------------------------------------------------------

    def media_options(
        self,
        request: LegRequest,
        remote: str,
        *,
        codecs: tuple[str, ...] = (),
        srtp: Srtp | None = None,
        dtmf: Dtmf = "auto",
        is_browser: bool = False,
    ) -> MediaOptions:
        """Return the media options of a leg whose peer is at the address `remote`."""
        return MediaOptions(
            codecs=codecs or self._sip.codecs,
            preferred=request.codec,
            srtp=srtp or _SRTP[self._sip.srtp],
            dtmf=dtmf,
            is_browser=is_browser,
            remote=remote,
            handshake_s=request.handshake_s,
        )

    def trunk_media_options(self, trunk: Trunk, request: LegRequest, remote: str) -> MediaOptions:
        """Return the media options of a leg over a trunk, whose server is at the address `remote`."""
        settings = trunk.settings
        return self.media_options(
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
        route: tuple[str, ...] = (),
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
            route=route,
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
        """Return a flow with the local address that its peer should see."""
        host, port = self._own.signalling(flow.transport, flow.host)
        return replace(flow, local_host=host, local_port=port)
