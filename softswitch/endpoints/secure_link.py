"""The way to a WebRTC peer: ICE finds it, DTLS keys it; an ICE restart changes it under a running call."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Literal, Protocol

from aioice import Connection

from softswitch.endpoints.aiortc_private import (
    DtlsAssociation,
    DtlsError,
    IceConnection,
    MediaKeys,
    NominatedPair,
)
from softswitch.endpoints.webrtc_shared import WebRtcShared
from softswitch.errors import PeerError
from softswitch.sdp import CandidateLine, TransportOffer

logger = logging.getLogger(__name__)

MAX_CANDIDATES = 64
"""Candidates of the far end for one ICE session, in the offer and trickled together."""


class LinkError(PeerError):
    """Say that the far end could not be reached; `part` is ice or dtls."""

    def __init__(self, part: Literal["ice", "dtls"], message: str, code: int = 504) -> None:
        super().__init__(message)
        self.part = part
        self.code = code


class LinkOwner(Protocol):
    """Whom a link tells; all calls come from the event loop."""

    def media_received(self, datagram: bytes) -> None:
        """Take an encrypted RTP or RTCP datagram."""

    def link_ready(self, link: "SecureLink") -> None:
        """Note that media may flow: at first, and whenever the pair or the keys have changed."""

    def link_ended(self, reason: str) -> None:
        """Note that an established link is gone: `caller` closed it, or it is silent (`media_timeout`)."""

    def link_failed(self, error: LinkError) -> None:
        """Note that the link cannot be established."""

    def link_warned(self, error: LinkError) -> None:
        """Note that an ICE restart failed while the old way still works."""


class SecureLink:
    """ICE and DTLS of one leg."""

    def __init__(
        self,
        shared: WebRtcShared,
        owner: LinkOwner,
        spawn: Callable[[Coroutine[None, None, None]], None],
        connect_s: float | None = None,
    ) -> None:
        """Prepare a link; `open` comes next.

        Args:
            shared: makes ICE sessions and certificates.
            owner: whom the link tells.
            spawn: starts a task that ends with the leg.
            connect_s: longest wait for ICE and DTLS, in seconds; None: that of all legs.
        """
        self._shared = shared
        self._owner = owner
        self._spawn = spawn
        self._connect_s = shared.connect_s if connect_s is None else connect_s
        self._certificate, self.fingerprint = shared.certificate()
        self._ice: IceConnection | None = None
        self._next: IceConnection | None = None
        self._transport: TransportOffer | None = None
        self._candidates = 0
        self._reachable = asyncio.Event()
        self._dtls: DtlsAssociation | None = None
        self.keys: MediaKeys | None = None

    # --- what the answer says ---------------------------------------------------------

    @property
    def ice(self) -> IceConnection:
        """Return the ICE session that the next answer describes."""
        session = self._next or self._ice
        if session is None:
            raise RuntimeError("the link is not open")
        return session

    @property
    def pair(self) -> NominatedPair | None:
        """Return where media goes, None before that is known."""
        return self._ice.nominated() if self._ice is not None else None

    @property
    def setup(self) -> Literal["active", "passive"]:
        """Return our part in the DTLS handshake."""
        return "passive" if self._dtls is not None and self._dtls.role == "server" else "active"

    # --- opening and changing -----------------------------------------------------------

    async def open(self, transport: TransportOffer) -> None:
        """Open the sockets for the first offer.

        Raises:
            LinkError: there is not a single socket.
        """
        self._ice = await self._gather(transport)
        self._transport = transport
        self._dtls = self._association(transport)

    async def offer(self) -> None:
        """Open the sockets for an offer of ours; `accept` comes with the answer.

        Raises:
            LinkError: there is not a single socket.
        """
        self._ice = await self._gather(None)

    async def accept(self, transport: TransportOffer) -> None:
        """Take the transport of the answer to our first offer; `start` comes next."""
        await self._tell(self.ice, transport)
        self._transport = transport
        self._dtls = self._association(transport)

    def start(self) -> None:
        """Begin to connect; `link_ready` or `link_failed` follows."""
        self._spawn(self._check(self.ice))
        self._spawn(self._establish())

    async def update(self, transport: TransportOffer) -> None:
        """Take the transport of a later offer: new ICE credentials restart it, a new fingerprint rekeys.

        Raises:
            LinkError: there is not a single socket for the restart.
        """
        before = self._transport
        restarts = before is None or transport.credentials != before.credentials
        if restarts:
            await self._restart(transport)
        else:
            await self._add_all(transport)
        self._transport = transport
        if self._dtls is not None and set(transport.fingerprints) != set(self._dtls.fingerprints):
            await self._dtls.close()
            self._dtls = self._association(transport)
            self._spawn(self._establish())

    async def add(self, line: CandidateLine) -> None:
        """Take a candidate of the far end; those of another ICE session are passed over."""
        transport = self._transport
        if transport is None or (line.ufrag and line.ufrag != transport.credentials.ufrag):
            return
        self._candidates += 1
        if self._candidates > MAX_CANDIDATES:
            self._shared.drops.candidates += 1
            return
        await self.ice.add(line)

    async def _gather(self, transport: TransportOffer | None) -> IceConnection:
        """Open the sockets of a session; without a transport of theirs the offer is ours (RFC 8445 6.1.1)."""
        session = self._shared.connection(self, controlling=transport is None or transport.lite)
        try:
            await session.gather_candidates()
            if not session.local_candidates:
                raise LinkError("ice", "no socket for media could be opened", 503)
            if transport is not None:
                await self._tell(session, transport)
        except BaseException:
            await session.shut()
            raise
        return session

    async def _tell(self, session: IceConnection, transport: TransportOffer) -> None:
        """Tell a session where the far end is."""
        session.set_remote(transport.credentials, lite=transport.lite)
        self._candidates = 0
        for line in transport.candidates:
            await session.add(line)

    async def _add_all(self, transport: TransportOffer) -> None:
        for line in transport.candidates:
            await self.add(line)

    async def _restart(self, transport: TransportOffer) -> None:
        session = await self._gather(transport)
        replaced, self._next = self._next, session
        if replaced is not None:
            await replaced.shut()
        if not self._reachable.is_set():
            self._promote()
        self._spawn(self._check(session))
        self._spawn(self._watch_restart(session))

    def _promote(self) -> None:
        """Let the new ICE session take the place of the old one."""
        old, self._ice, self._next = self._ice, self._next, None
        if old is not None:
            self._spawn(old.shut())

    async def _watch_restart(self, session: IceConnection) -> None:
        await asyncio.sleep(self._connect_s)
        if session is self._next:
            self._next = None
            await session.shut()
            self._owner.link_warned(LinkError("ice", "the ICE restart did not succeed"))

    # --- connecting ---------------------------------------------------------------------

    async def _check(self, session: IceConnection) -> None:
        try:
            await session.connect()
        except ConnectionError as error:
            # Only a session that was closed meanwhile fails here; its end is told elsewhere.
            logger.debug("an ICE session stopped checking", extra={"reason": str(error)})

    async def _establish(self) -> None:
        dtls = self._dtls
        if dtls is None:
            return
        try:
            async with asyncio.timeout(self._connect_s):
                await self._reachable.wait()
                keys = await dtls.connect()
        except TimeoutError:
            part: Literal["ice", "dtls"] = "dtls" if self._reachable.is_set() else "ice"
            text = "the DTLS handshake took too long" if part == "dtls" else "no way to the far end was found"
            if dtls is self._dtls:
                self._owner.link_failed(LinkError(part, text))
        except DtlsError as error:
            if dtls is self._dtls:
                self._owner.link_failed(LinkError("dtls", str(error), 488))
        else:
            if dtls is self._dtls:
                self.keys = keys
                self._owner.link_ready(self)

    def _association(self, transport: TransportOffer) -> DtlsAssociation:
        role: Literal["client", "server"] = "server" if transport.setup == "active" else "client"
        return DtlsAssociation(self._certificate, role, transport.fingerprints, self.send, self._dtls_closed)

    # --- media and what is told by the sockets --------------------------------------------

    def send(self, datagram: bytes) -> bool:
        """Send on the nominated pair now; False when there is none."""
        return self._ice is not None and self._ice.send_now(datagram)

    def duplicate_socket(self) -> int:
        """Return a duplicate of the socket in use, owned by the caller; -1 where the pair is relayed.

        Raises:
            OSError: the socket is closed, or there are no descriptors left.
        """
        return self._ice.duplicate_socket() if self._ice is not None else -1

    def media_received(self, datagram: bytes) -> None:
        """Hand media on; what overtakes the last step of our handshake waits in the engine."""
        self._owner.media_received(datagram)

    def dtls_received(self, datagram: bytes) -> None:
        """Hand a DTLS datagram to the handshake."""
        if self._dtls is not None and not self._dtls.feed(datagram):
            self._shared.drops.dtls_overflow += 1

    def pair_nominated(self, connection: Connection) -> None:
        """Note the pair; that of a restarted session ends the old one."""
        if connection is self._next:
            self._promote()
        if connection is self._ice:
            self._reachable.set()
            if self.keys is not None:
                self._owner.link_ready(self)

    def connection_lost(self, connection: Connection) -> None:
        """Note that a session is gone; a restart under way may still save the call."""
        if connection is not self._ice:
            return
        if self._next is not None:
            self._reachable.clear()
            self._promote()
        else:
            self._owner.link_ended("media_timeout")

    def _dtls_closed(self, association: DtlsAssociation) -> None:
        if association is self._dtls:
            self._owner.link_ended("caller")

    # --- the end ----------------------------------------------------------------------------

    async def close(self) -> None:
        """Release everything in bounded time."""
        if self._dtls is not None:
            await self._dtls.close()
        for session in (self._ice, self._next):
            if session is not None:
                await session.shut()
