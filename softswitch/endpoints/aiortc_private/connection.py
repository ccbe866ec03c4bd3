"""ICE by aioice: our own sockets and ports, the source filter before it, another nomination noticed."""

import asyncio
import contextlib
import logging
import os
import socket
import struct
from random import Random
from typing import Any, cast

from aioice import Candidate, Connection
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import CandidatePair, StunProtocol, relayed_candidate, server_reflexive_candidate

from softswitch.endpoints.aiortc_private.options import Address, IceOptions, IceOwner, NominatedPair
from softswitch.endpoints.ice import GatherServers, host_addresses
from softswitch.endpoints.source_filter import MAX_DATAGRAM, Drops, StunGate, kind_of
from softswitch.sdp import CandidateLine, IceCredentials

logger = logging.getLogger(__name__)

MAX_PAIRS = 100
"""Pairs of one check list (RFC 8445 section 6.1.2.5)."""
_BIND_TRIES = 24
_SOCKET_BUFFER = 262144
_ICE_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_CLOSE_S = 2.0


class FilteredProtocol(StunProtocol):
    """A socket of ICE behind the source filter."""

    def __init__(self, receiver: "IceConnection") -> None:
        super().__init__(receiver)
        self._connection = receiver
        self._loop = asyncio.get_running_loop()

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        """Hand a datagram to whom it concerns, if its sender takes part in the call."""
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

    def _parse(self, datagram: bytes, source: Address) -> None:
        try:
            super().datagram_received(datagram, source)
        except (struct.error, KeyError, IndexError):
            # aioice expects only ValueError of attributes that are cut short or missing.
            self._connection.drops.stun_malformed += 1


class IceConnection(Connection):
    """An ICE session of one component, on our own addresses and ports, behind the source filter."""

    def __init__(
        self,
        owner: IceOwner,
        options: IceOptions,
        servers: GatherServers,
        drops: Drops,
        random: Random,
        *,
        controlling: bool = False,
    ) -> None:
        """Prepare a session; `gather_candidates` opens its sockets.

        Args:
            owner: whom it tells.
            options: what is common to all sessions.
            servers: STUN and TURN servers to ask.
            drops: counters of what is dropped.
            random: source of names, passwords and ports; must not be guessable.
            controlling: true only where the far end is a lite implementation.
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
        self._options = options
        self._random = random
        self._gate = StunGate(self.local_username, drops)

    # --- what the far end said -----------------------------------------------------

    def set_remote(self, credentials: IceCredentials, *, lite: bool) -> None:
        """Take the credentials of the far end, before `connect`."""
        self.remote_username = credentials.ufrag
        self.remote_password = credentials.password
        self.remote_is_lite = lite

    async def add(self, line: CandidateLine) -> None:
        """Take a candidate of the far end, unless it can or may not be reached.

        Names are never resolved: the far end sends checks to us, and by those its address is learned
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
        # Else a stranger could have this machine send checks to services that listen on it alone.
        if address.is_loopback and not any(_is_loopback(own.host) for own in self.local_candidates):
            return False
        return len(self._check_list) < MAX_PAIRS

    # --- gathering -----------------------------------------------------------------

    async def get_component_candidates(
        self,
        component: int,
        addresses: list[str],
        timeout: int = 5,  # noqa: ASYNC109  (aioice's signature; our own bound counts)
    ) -> list[Candidate]:
        """Open a socket on each own address, then ask the STUN and the TURN server for a bounded time."""
        options = self._options
        chosen = host_addresses(options.addresses, addresses, loopback=options.loopback)
        hosts: list[StunProtocol] = []
        for preference, address in enumerate(chosen):
            if protocol := await self._bind(address):
                self._protocols.append(protocol)
                protocol.local_candidate = _host_candidate(protocol, component, 65535 - preference)
                hosts.append(protocol)
        if not hosts:
            logger.error("no socket for media could be opened", extra={"addresses": chosen})
        return [protocol.local_candidate for protocol in hosts] + await self._ask_servers(hosts, component)

    async def _bind(self, address: str) -> StunProtocol | None:
        first, last = self._options.ports
        loop = asyncio.get_running_loop()
        for _ in range(_BIND_TRIES if first else 1):
            port = self._random.randint(first, last) if first else 0
            try:
                transport, protocol = await loop.create_datagram_endpoint(
                    lambda: FilteredProtocol(self), local_addr=(address, port)
                )
            except OSError as error:
                reason = error.strerror
                continue
            plain: socket.socket | None = transport.get_extra_info("socket")
            if plain is not None:
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BUFFER)
            return protocol
        logger.warning("a host candidate is missing", extra={"address": address, "reason": reason})
        return None

    async def _ask_servers(self, hosts: list[StunProtocol], component: int) -> list[Candidate]:
        tasks = self._server_tasks(hosts, component)
        if not tasks:
            return []
        try:
            await asyncio.wait(tasks, timeout=self._options.gather_s)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        found: list[Candidate] = []
        for task in tasks:
            if task.cancelled() or task.exception():
                continue
            candidate, protocol = task.result()
            found.append(candidate)
            if protocol is not None:
                self._protocols.append(protocol)
        if self.turn_server and not any(candidate.type == "relay" for candidate in found):
            logger.warning("the relay candidate is missing", extra={"turn_server": self.turn_server})
        return found

    def _server_tasks(
        self, hosts: list[StunProtocol], component: int
    ) -> list[asyncio.Task[tuple[Candidate, StunProtocol | None]]]:
        loop = asyncio.get_running_loop()
        tasks: list[asyncio.Task[tuple[Candidate, StunProtocol | None]]] = []
        if self.stun_server:
            tasks += [
                loop.create_task(server_reflexive_candidate(protocol, self.stun_server))
                for protocol in hosts
                if ":" not in (host := protocol.local_candidate.host) and not _is_loopback(host)
            ]
        if self.turn_server:
            tasks.append(
                loop.create_task(
                    relayed_candidate(
                        component=component,
                        hide_related_address=False,
                        protocol_factory=lambda: FilteredProtocol(self),
                        turn_server=self.turn_server,
                        turn_username=self.turn_username,
                        turn_password=self.turn_password,
                        turn_ssl=self.turn_ssl,
                        turn_transport=self.turn_transport,
                    )
                )
            )
        return tasks

    # --- the source filter -----------------------------------------------------------

    def drop_misshapen(self, datagram: bytes) -> None:
        """Count a datagram that cannot be anything."""
        if not datagram:
            self.drops.empty += 1
        elif len(datagram) > MAX_DATAGRAM:
            self.drops.oversized += 1
        else:
            self.drops.stranger += 1

    def is_party(self, source: Address, protocol: StunProtocol) -> bool:
        """Tell whether `source` is the nominated far end, or else one in the check list."""
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
        return self._gate.admits(datagram, protocol.transactions, now)

    def _is_paired(self, source: Address, protocol: StunProtocol) -> bool:
        return any(pair.protocol is protocol and pair.remote_addr == source for pair in self._check_list)

    def data_received(self, data: bytes, component: int) -> None:
        """Drop what aioice could not parse as STUN; media and DTLS never come this way."""
        del data, component
        self.drops.stun_malformed += 1

    # --- the pair ----------------------------------------------------------------------

    def check_complete(self, pair: CandidatePair) -> None:
        """Note a pair that was checked, and tell the owner when another one is nominated."""
        before = self._nominated.get(1)
        super().check_complete(pair)
        if self._nominated.get(1) is not before:
            self.owner.pair_nominated(self)

    def protocol_lost(self, protocol: StunProtocol) -> None:
        """Note that a socket is gone, and tell the owner when it was the one in use."""
        pair = self._nominated.get(1)
        super().protocol_lost(protocol)
        if pair is not None and pair.protocol is protocol and not self._closing:
            self.owner.connection_lost(self)

    def nominated(self) -> NominatedPair | None:
        """Return the nominated pair, None before there is one."""
        pair = self._nominated.get(1)
        if pair is None:
            return None
        return NominatedPair(pair.local_candidate.type == "relay", pair.remote_addr)

    def duplicate_socket(self) -> int:
        """Return a duplicate of the nominated pair's socket, which the caller owns; -1 where it is relayed.

        Raises:
            OSError: the socket is closed, or there are no descriptors left.
        """
        pair = self._nominated.get(1)
        if pair is None or pair.local_candidate.type == "relay":
            return -1
        return os.dup(pair.protocol.transport.get_extra_info("socket").fileno())

    def send_now(self, datagram: bytes) -> bool:
        """Send on the nominated pair without waiting; False when there is none."""
        pair = self._nominated.get(1)
        if pair is None or pair.protocol.transport is None:
            return False
        pair.protocol.transport.sendto(datagram, pair.remote_addr)
        return True

    # --- the end -------------------------------------------------------------------------

    async def close(self) -> None:
        """Close all sockets; aioice calls this too, when consent has expired."""
        ours = self._closing
        await super().close()
        if not ours:
            self.owner.connection_lost(self)

    async def shut(self) -> None:
        """Close everything within two seconds, even where the TURN server does not answer any more."""
        protocols = list(self._protocols)
        self._closing = True
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


def _abort(protocol: StunProtocol) -> None:
    """Drop a socket, and the goodbye to the TURN server behind it."""
    transport: Any = protocol.transport
    if task := getattr(transport, "_TurnTransport__close_task", None):
        task.cancel()
    inner: Any = getattr(transport, "_TurnTransport__inner_protocol", None)
    (inner.transport if inner else transport).abort()
