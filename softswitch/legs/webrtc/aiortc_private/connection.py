"""ICE by aioice, with local addresses and ports of the settings, and a source filter before it."""

import asyncio
import contextlib
import logging
import os
import socket
import ssl
import struct
from random import Random
from typing import Any, Self, cast

from aioice import Candidate, Connection
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import CandidatePair, StunProtocol, relayed_candidate
from aioice.stun import Class, Message, Method, TransactionError, TransactionFailed, TransactionTimeout

from softswitch.egress import SWITCH
from softswitch.legs.datagrams.icmp import allow_fragments
from softswitch.legs.webrtc.aiortc_private.consent import EXPIRES_S, Consent
from softswitch.legs.webrtc.aiortc_private.ice_transport import IceTransport
from softswitch.legs.webrtc.aiortc_private.options import Address, IceOptions, IceOwner, NominatedPair
from softswitch.legs.webrtc.ice import GatherServers, host_addresses
from softswitch.legs.webrtc.source_filter import MAX_DATAGRAM, Drops, StunFilter, kind_of
from softswitch.sdp import CandidateLine, IceCredentials
from softswitch.settings import url_host

logger = logging.getLogger(__name__)

MAX_PAIRS = 100
"""Pairs of one check list (RFC 8445 section 6.1.2.5)."""
_BIND_TRIES = 24
_SOCKET_BUFFER = 262144
_ICE_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_CLOSE_S = 2.0
SILENT_S = 2.5
"""Silence of a TURN server after which its failure is reported, in seconds."""
GRANT_S = 10.0
"""Longest wait after the end of a session for an allocation that is under way, in seconds."""


class FilteredProtocol(StunProtocol):
    """A socket of ICE behind the source filter."""

    def __init__(self, receiver: "IceConnection") -> None:
        super().__init__(receiver)
        self._connection = receiver
        self._loop = asyncio.get_running_loop()

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        """Dispatch a datagram by kind, if its sender takes part in the call."""
        datagram = cast("bytes", data)
        source = (addr[0], addr[1])
        connection = self._connection
        if not datagram or len(datagram) > MAX_DATAGRAM or not addr[1]:
            connection.drop_misshapen(datagram)
            return
        match kind_of(datagram):
            case "media":
                if connection.is_party(source, self):
                    connection.owner.media_received(datagram)
            case "stun":
                if connection.admits(datagram, source, self, self._loop.time()):
                    self._parse(datagram, source)
            case "dtls":
                if connection.is_party(source, self):
                    connection.owner.dtls_received(datagram)
            case "other":
                connection.drops.unknown_kind += 1

    def error_received(self, exc: Exception) -> None:
        """Count an ICMP error, or a datagram that could not be sent; the socket goes on."""
        super().error_received(exc)
        self._connection.drops.socket_errors += 1

    def _parse(self, datagram: bytes, source: Address) -> None:
        try:
            super().datagram_received(datagram, source)
        except (struct.error, KeyError, IndexError):
            # aioice expects only ValueError of attributes that are cut short or missing.
            self._connection.drops.stun_malformed += 1


class IceConnection(Connection):
    """An ICE session of one component, on local addresses and ports, behind the source filter."""

    def __init__(
        self,
        owner: IceOwner,
        options: IceOptions,
        servers: GatherServers,
        drops: Drops,
        random: Random,
        *,
        controlling: bool = False,
        trickle: bool = False,
    ) -> None:
        """Prepare; `gather_candidates` opens its sockets.

        Args:
            owner: receives the events of the session.
            options: options of all sessions.
            servers: STUN and TURN servers to ask.
            drops: counters of dropped datagrams.
            random: source of names, passwords and ports; must not be predictable.
            controlling: true only where the peer is a lite implementation.
            trickle: gathering ends with the host candidates; those of servers are reported to the owner
                when they come. False: gathering waits for the servers, up to `options.gather_s`.
        """
        turn = servers.turn
        super().__init__(
            ice_controlling=controlling,
            stun_server=servers.stun,
            turn_server=(turn.host, turn.port) if turn else None,
            turn_username=turn.username if turn else None,
            turn_password=turn.credential if turn else None,
            turn_ssl=turn.tls if turn else False,
            turn_transport=turn.transport if turn else "udp",
            local_username="".join(random.choices(_ICE_CHARACTERS, k=8)),
            local_password="".join(random.choices(_ICE_CHARACTERS, k=24)),
        )
        self.owner = owner
        self.drops = drops
        self.options = options
        self._random = random
        self._stun_filter = StunFilter(self.local_username, drops)
        self.trickle = trickle
        self._asked: set[asyncio.Task[Candidate]] = set()
        """Requests to STUN and TURN servers that run."""
        self._found: list[Candidate] | None = []
        """Candidates of servers that came in time; None once gathering has ended."""
        self._component = 1

    @property
    def complete(self) -> bool:
        """Tell whether the peer is sent no further candidates than it has."""
        return not (self.trickle and self._asked)

    # --- the peer ------------------------------------------------------------------

    def set_remote(self, credentials: IceCredentials, *, lite: bool) -> None:
        """Set the peer's credentials, before `connect`."""
        self.remote_username = credentials.ufrag
        self.remote_password = credentials.password
        self.remote_is_lite = lite

    async def add(self, line: CandidateLine) -> None:
        """Add a candidate of the peer, unless it is unreachable or refused.

        Names are never resolved: the peer's checks arrive here, and its address is learned from them
        (RFC 8445 section 7.3.1.3). End-of-candidates is not passed on for the same reason (RFC 8863).
        """
        if not self._is_usable(line):
            self.drops.candidates += 1
            return
        await self.add_remote_candidate(
            Candidate(
                foundation=line.foundation,
                component=1,
                transport="udp",
                priority=line.priority,
                host=line.address,
                port=line.port,
                type="srflx" if line.kind == "prflx" else line.kind,
            )
        )

    def _is_usable(self, line: CandidateLine) -> bool:
        address = line.ip
        if address is None or line.component != 1 or line.protocol != "udp" or line.port < 1024:
            return False
        if address.is_multicast or address.is_unspecified or line.address == "255.255.255.255":
            return False
        # Otherwise a peer could make this machine send checks to services that listen on loopback only.
        if address.is_loopback and not any(_is_loopback(own.host) for own in self.local_candidates):
            return False
        return len(self._check_list) < MAX_PAIRS

    # --- gathering -----------------------------------------------------------------

    async def get_component_candidates(
        self,
        component: int,
        addresses: list[str],
        timeout: int = 5,  # noqa: ASYNC109  (aioice's signature; `gather_s` counts)
    ) -> list[Candidate]:
        """Open a socket on each local address, and ask the STUN and TURN server.

        What the servers send after the bounded wait is used nevertheless: see `_late`.
        """
        options = self.options
        chosen = host_addresses(options.addresses, addresses, loopback=options.loopback)
        hosts: list[StunProtocol] = []
        for preference, address in enumerate(chosen):
            if protocol := await self._bind(address):
                self._protocols.append(protocol)
                protocol.local_candidate = _host_candidate(protocol, component, 65535 - preference)
                hosts.append(protocol)
        if not hosts:
            logger.error(
                "no media socket could be opened: check [ice] host_addresses and [rtp] port_min, port_max",
                extra={"addresses": chosen},
            )
        self._component = component
        self._ask_servers(hosts, component)
        try:
            if self._asked and not self.trickle:
                await asyncio.wait(self._asked, timeout=options.gather_s)
        finally:
            found, self._found = self._found or [], None
        return [protocol.local_candidate for protocol in hosts] + found

    async def _bind(self, address: str) -> StunProtocol | None:
        first, last = self.options.ports
        for _ in range(_BIND_TRIES if first else 1):
            port = self._random.randint(first, last) if first else 0
            protocol = FilteredProtocol(self)
            try:
                IceTransport(_bound(address, port), protocol)
            except OSError as error:
                reason = error.strerror
                continue
            return protocol
        logger.warning("a host candidate is missing", extra={"address": address, "reason": reason})
        return None

    def _ask_servers(self, hosts: list[StunProtocol], component: int) -> None:
        """Start the requests to the STUN and TURN servers; `_answered` takes what they bring."""
        loop = asyncio.get_running_loop()
        tasks: list[asyncio.Task[Candidate]] = []
        if self.stun_server:
            tasks += [
                loop.create_task(self._reflexive(protocol, self.stun_server))
                for protocol in hosts
                if ":" not in (host := protocol.local_candidate.host) and not _is_loopback(host)
            ]
        if self.turn_server:
            relayed = loop.create_task(self._relayed(component, self.turn_server))
            tasks.append(relayed)
            loop.call_later(SILENT_S, self._still_silent, relayed)
        self._asked.update(tasks)
        for task in tasks:
            task.add_done_callback(self._answered)

    def _answered(self, task: "asyncio.Task[Candidate]") -> None:
        """Take the outcome of a request to a server, in time or late."""
        self._asked.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if self._closing:
            return  # `shut` gives the relay back.
        if error is not None:
            logger.info("a STUN or TURN server gave no candidate", extra={"reason": _reason(error)})
            if isinstance(error, RelayError):
                self._report_relay(error)
        elif self._found is not None:
            self._found.append(task.result())
        else:
            self._late(task.result())
        if self.trickle and self._found is None and not self._asked:
            self.owner.candidates_found(self, ())

    def _late(self, candidate: Candidate) -> None:
        """Use a candidate that came after the description: pair it with the peer's, and report it.

        A relay that comes when a path is in use already is given back at once.
        """
        protocol = next((item for item in self._protocols if item.local_candidate is candidate), None)
        if protocol is not None and self._nominated:
            self._protocols.remove(protocol)
            self.options.releases.spawn(protocol.close(), name="unused relay")
            return
        self._local_candidates.append(candidate)
        if protocol is not None and self._early_checks_done:
            for remote in self._remote_candidates:
                if len(self._check_list) < MAX_PAIRS:
                    self._pair_remote_candidate(remote)
            self.sort_check_list()
        if self.trickle:
            self.owner.candidates_found(self, (candidate_line_of(candidate),))

    def _still_silent(self, relayed: "asyncio.Task[Candidate]") -> None:
        if not relayed.done() and not self._closing and not self._nominated:
            self._report_relay(RelayError(f"does not respond within {SILENT_S:g} s"))

    def _report_relay(self, error: "RelayError") -> None:
        server = "{}:{}".format(*self.turn_server) if self.turn_server else ""
        logger.warning("the relay candidate is missing", extra={"turn_server": server, "reason": str(error)})
        self.owner.relay_refused(self, f"the TURN server {server} {error}")

    async def _reflexive(self, protocol: StunProtocol, server: Address) -> Candidate:
        """Ask the STUN server for the public address of a socket; its name is resolved without a thread."""
        found = await self.options.resolve(server[0], SWITCH)
        place = next((address for address in found if ":" not in address), ""), server[1]
        if not place[0]:
            raise OSError("the STUN server has no IPv4 address")
        request = Message(message_method=Method.BINDING, message_class=Class.REQUEST)
        response, _ = await protocol.request(request, place)
        own = protocol.local_candidate
        host, port = response.attributes["XOR-MAPPED-ADDRESS"][:2]
        return Candidate(
            foundation=candidate_foundation("srflx", "udp", own.host),
            component=own.component,
            transport=own.transport,
            priority=candidate_priority(own.component, "srflx"),
            host=host,
            port=port,
            type="srflx",
            related_address=own.host,
            related_port=own.port,
        )

    async def _relayed(self, component: int, server: Address) -> Candidate:
        """Have the TURN server relay; its socket is noted at once, so that it is closed whatever comes."""
        host, port = server
        try:
            (address, *_) = await self.options.resolve(host, SWITCH)
            candidate, protocol = await relayed_candidate(
                component=component,
                hide_related_address=False,
                protocol_factory=lambda: FilteredProtocol(self),
                turn_server=(address, port),
                turn_username=self.turn_username,
                turn_password=self.turn_password,
                # The certificate is that of the name, while the address is dialled.
                turn_ssl=cast("bool", NamedContext(host)) if self.turn_ssl else False,
                turn_transport=self.turn_transport,
            )
        except (OSError, ValueError, TransactionError) as error:
            raise RelayError(_reason(error)) from error
        if self._closing:
            # The session ended while the server was deciding: nothing else would release the allocation.
            await protocol.close()
        else:
            self._protocols.append(protocol)
        return candidate

    # --- the source filter -----------------------------------------------------------

    def drop_misshapen(self, datagram: bytes) -> None:
        """Count a datagram of impossible size or source port."""
        if not datagram:
            self.drops.empty += 1
        elif len(datagram) > MAX_DATAGRAM:
            self.drops.oversized += 1
        else:
            self.drops.stranger += 1

    def is_party(self, source: Address, protocol: StunProtocol) -> bool:
        """Tell whether `source` is the nominated peer, or else in the check list."""
        pair = self._nominated.get(1)
        if pair is not None and pair.remote_addr == source and pair.protocol is protocol:
            return True
        if self._is_paired(source, protocol):
            return True
        self.drops.stranger += 1
        return False

    def admits(self, datagram: bytes, source: Address, protocol: StunProtocol, now: float) -> bool:
        """Tell whether a STUN message is to be parsed."""
        if len(self._check_list) >= MAX_PAIRS and not self._is_paired(source, protocol):
            self.drops.stun_flood += 1
            return False
        return self._stun_filter.admits(datagram, protocol.transactions, now)

    def _is_paired(self, source: Address, protocol: StunProtocol) -> bool:
        return any(pair.protocol is protocol and pair.remote_addr == source for pair in self._check_list)

    def data_received(self, data: bytes, component: int) -> None:
        """Count what aioice could not parse as STUN; media and DTLS never come here."""
        del data, component
        self.drops.stun_malformed += 1

    # --- the pair ----------------------------------------------------------------------

    def check_complete(self, pair: CandidatePair) -> None:
        """Handle a checked pair, and report another nomination to the owner."""
        before = self._nominated.get(1)
        super().check_complete(pair)
        if self._nominated.get(1) is not before:
            self.owner.pair_nominated(self)

    def protocol_lost(self, protocol: StunProtocol) -> None:
        """Handle a closed socket, and report to the owner that the one in use is gone."""
        pair = self._nominated.get(1)
        super().protocol_lost(protocol)
        if pair is not None and pair.protocol is protocol and not self._closing:
            self.owner.connection_lost(self)

    def nominated(self) -> NominatedPair | None:
        """Return the nominated pair; None before there is one."""
        pair = self._nominated.get(1)
        if pair is None:
            return None
        return NominatedPair(pair.local_candidate.type == "relay", pair.remote_addr)

    def path(self) -> str:
        """Return kinds and addresses of the nominated pair in words; "" before there is one."""
        pair = self._nominated.get(1)
        if pair is None:
            return ""
        ends = (pair.local_candidate, pair.remote_candidate)
        return " - ".join(f"{end.type} {url_host(end.host)}:{end.port}" for end in ends)

    def selected(self) -> CandidatePair | None:
        """Return the nominated pair as aioice has it; None before there is one."""
        return self._nominated.get(1)

    async def query_consent(self) -> None:
        """Close the session when the peer's consent has ended; run by aioice once a pair is nominated."""
        await Consent(self, self._random).expired()
        logger.info("the consent of a peer has ended", extra={"silent_s": EXPIRES_S})
        self._query_consent_task = None
        await self.close()

    def base(self) -> str:
        """Return the local address of the nominated pair's socket; "" without one, and for a relay."""
        pair = self._nominated.get(1)
        if pair is None or pair.local_candidate.type == "relay" or pair.protocol.transport is None:
            return ""
        return str(pair.protocol.transport.get_extra_info("sockname")[0])

    def duplicate_socket(self) -> int:
        """Return a duplicate of the nominated pair's socket, which the caller owns; -1 for a relayed pair.

        Raises:
            OSError: the socket is closed, or no descriptor is left.
        """
        pair = self._nominated.get(1)
        if pair is None or pair.local_candidate.type == "relay":
            return -1
        return os.dup(pair.protocol.transport.get_extra_info("socket").fileno())

    def hand_over(self) -> None:
        """Leave the reading of the nominated pair's socket to the media engine, and read all others."""
        pair = self._nominated.get(1)
        for protocol in self._protocols:
            transport = protocol.transport
            if isinstance(transport, IceTransport) and not transport.is_closing():
                if pair is not None and protocol is pair.protocol:
                    transport.pause_reading()
                else:
                    transport.resume_reading()

    def stray(self, datagram: bytes, source: Address) -> None:
        """Take a datagram that the media engine has read from the nominated pair's socket: no media."""
        pair = self._nominated.get(1)
        if pair is not None and not self._closing:
            pair.protocol.datagram_received(datagram, source)

    def send_now(self, datagram: bytes) -> bool:
        """Send on the nominated pair; False without one."""
        pair = self._nominated.get(1)
        if pair is None or pair.protocol.transport is None:
            return False
        pair.protocol.transport.sendto(datagram, pair.remote_addr)
        return True

    # --- the end -------------------------------------------------------------------------

    async def close(self) -> None:
        """Close all sockets; aioice calls this too, when consent has expired."""
        is_own = self._closing
        await super().close()
        if not is_own:
            self.owner.connection_lost(self)

    async def shut(self) -> None:
        """Close everything within two seconds, even where the TURN server does not respond.

        A relay that was asked for and is not granted yet is released in the background when it comes.
        """
        protocols = list(self._protocols)
        self._closing = True
        if self._asked:
            asked, self._asked = self._asked, set()
            self.options.releases.spawn(_await_grants(asked), name="late relay")
        # Not asyncio.timeout: in a task that was cancelled and cleans up, that of Python 3.11.2 (Debian 12)
        # ends with CancelledError instead of TimeoutError.
        closing = asyncio.ensure_future(self.close())
        try:
            await asyncio.wait({closing}, timeout=_CLOSE_S)
        finally:
            if not closing.done():
                closing.cancel()
                logger.warning("a TURN allocation could not be given back", extra={"turn": self.turn_server})
                for protocol in protocols:
                    _abort(protocol)
        with contextlib.suppress(asyncio.CancelledError):
            await closing


def _bound(address: str, port: int) -> socket.socket:
    """Return a socket on a local address and port.

    Raises:
        OSError: the port is in use, or no descriptor is left.
    """
    udp = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        udp.setblocking(False)
        udp.bind((address, port))
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BUFFER)
        # ICE notices by itself that no response comes: ICMP errors are not requested.
        allow_fragments(udp)
    except OSError:
        udp.close()
        raise
    return udp


class RelayError(Exception):
    """A TURN server that grants no relay; the text completes a sentence that begins with its name."""


class NamedContext(ssl.SSLContext):
    """TLS context of a client that dials an address, and verifies the name of its server."""

    name: str

    def __new__(cls, name: str) -> Self:
        """Trust the system's authorities."""
        made = super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)
        made.name = name
        made.load_default_certs()
        return made

    def wrap_bio(self, incoming: Any, outgoing: Any, *rest: Any, **options: Any) -> ssl.SSLObject:
        """Wrap as the loop asks, but with the name of the server."""
        return super().wrap_bio(incoming, outgoing, *rest, **options | {"server_hostname": self.name})


def _is_loopback(address: str) -> bool:
    return address == "::1" or address.startswith("127.")


def _host_candidate(protocol: StunProtocol, component: int, preference: int) -> Candidate:
    address, port = protocol.transport.get_extra_info("sockname")[:2]
    return Candidate(
        foundation=candidate_foundation("host", "udp", address),
        component=component,
        transport="udp",
        priority=candidate_priority(component, "host", preference),
        host=address,
        port=port,
        type="host",
    )


def candidate_line_of(candidate: Candidate) -> CandidateLine:
    """Return a candidate of aioice as a line of SDP."""
    return CandidateLine(
        candidate.foundation,
        candidate.component,
        candidate.transport,
        candidate.priority,
        candidate.host,
        candidate.port,
        candidate.type,
        candidate.related_address or "",
        candidate.related_port or 0,
    )


async def _await_grants(asked: set["asyncio.Task[Candidate]"]) -> None:
    """Give requests to servers time to finish, since a cancelled one would leave its allocation behind."""
    try:
        await asyncio.wait(asked, timeout=GRANT_S)
    finally:
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


def _reason(error: BaseException) -> str:
    """Return why a server gave no candidate, to follow its name."""
    if isinstance(error, TransactionFailed):
        code, phrase = error.response.attributes.get("ERROR-CODE", (0, "no reason given"))
        if code in (401, 403, 441):
            return (
                f"refuses the credentials ({code} {phrase}): check [ice] turn_secret, turn_ttl and the clocks"
            )
        return f"refuses ({code} {phrase})"
    if isinstance(error, TransactionTimeout):
        return "does not respond"
    return str(error) if isinstance(error, RelayError) else f"cannot be used: {error or type(error).__name__}"


def _abort(protocol: StunProtocol) -> None:
    """Close a socket, and the deallocation of the TURN server behind it."""
    transport: Any = protocol.transport
    if task := getattr(transport, "_TurnTransport__close_task", None):
        task.cancel()
    inner: Any = getattr(transport, "_TurnTransport__inner_protocol", None)
    (inner.transport if inner else transport).abort()
