"""The connection to a WebRTC peer: ICE connects it, DTLS keys it, an ICE restart changes its path."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, Protocol

from softswitch.errors import PeerError
from softswitch.legs.webrtc import aiortc_private
from softswitch.legs.webrtc.aiortc_private import DtlsError, MediaKeys, NominatedPair
from softswitch.legs.webrtc.shared import WebRtcShared
from softswitch.sdp import CandidateLine, Fingerprint, TransportOffer

if TYPE_CHECKING:
    from aioice import Connection
    from aiortc import RTCCertificate

    from softswitch.legs.webrtc.aiortc_private import DtlsAssociation, IceConnection

logger = logging.getLogger(__name__)

MAX_CANDIDATES = 64
"""Candidates of the peer for one ICE session, in the offer and trickled together."""


class LinkError(PeerError):
    """A link that cannot be established, or lacks a relay; `part` is ice, dtls or media."""

    def __init__(self, part: Literal["ice", "dtls", "media"], message: str, code: int = 504) -> None:
        super().__init__(message)
        self.part = part
        self.code = code


class LinkOwner(Protocol):
    """Receiver of the events of a link; all calls come from the event loop."""

    def media_received(self, datagram: bytes) -> None:
        """Handle an encrypted RTP or RTCP datagram."""

    def link_ready(self, link: "SecureLink") -> None:
        """Handle a link that can carry media: at first, and whenever the pair or the keys have changed."""

    def link_ended(self, reason: str) -> None:
        """Handle the end of a link: `caller` closed it, or it is silent (`media_timeout`)."""

    def link_failed(self, error: LinkError) -> None:
        """Handle a link that cannot be established."""

    def link_warned(self, error: LinkError) -> None:
        """Handle a fault that does not end the link: a failed ICE restart, a TURN server that refuses."""

    def link_trickled(self, lines: Sequence[CandidateLine]) -> None:
        """Handle local candidates that came after the description; an empty sequence: nothing follows."""


class SecureLink:
    """ICE and DTLS of one leg."""

    def __init__(
        self,
        shared: WebRtcShared,
        owner: LinkOwner,
        spawn: Callable[[Coroutine[None, None, None]], None],
        connect_s: float | None = None,
        *,
        trickle: bool = False,
    ) -> None:
        """Prepare; `open` comes next.

        Args:
            shared: makes ICE sessions and certificates.
            owner: receives the events of the link.
            spawn: starts a task that ends with the leg.
            connect_s: longest wait for ICE and DTLS, in seconds; None: that of all legs.
            trickle: the peer takes candidates after the description, by `LinkOwner.link_trickled`.
        """
        self._shared = shared
        self._owner = owner
        self._spawn = spawn
        self._trickle = trickle
        self._connect_s = shared.connect_s if connect_s is None else connect_s
        self._keyed: tuple[RTCCertificate, Fingerprint] | None = None
        """Local certificate of all associations, and its fingerprint; None until the link is opened."""
        self._ice: IceConnection | None = None
        self._next: IceConnection | None = None
        self._offered: IceConnection | None = None
        """Session of a restart that the switch offers, until the answer."""
        self._sessions: list[IceConnection] = []
        """All sessions with open sockets, including replaced ones."""
        self._transport: TransportOffer | None = None
        self._candidates = 0
        self._reachable = asyncio.Event()
        self._dtls: DtlsAssociation | None = None
        self._generation = 0
        self.keys: MediaKeys | None = None

    # --- parameters for the answer ------------------------------------------------------

    @property
    def ice(self) -> "IceConnection":
        """Return the ICE session that the next answer describes."""
        session = self._next or self._ice
        if session is None:
            raise RuntimeError("the link is not open")
        return session

    @property
    def own(self) -> "IceConnection":
        """Return the ICE session that an offer of the switch describes."""
        return self._offered or self.ice

    @property
    def pair(self) -> NominatedPair | None:
        """Return the nominated pair; None before there is one."""
        return self._ice.nominated() if self._ice is not None else None

    @property
    def path(self) -> str:
        """Return the nominated pair in words; "" before there is one."""
        return self._ice.path() if self._ice is not None else ""

    def stranded(self, present: frozenset[str]) -> str:
        """Return the local address of the path in use where it is gone, else ""."""
        base = self._ice.base() if self._ice is not None and self._next is None else ""
        return base if base and base not in present else ""

    @property
    def setup(self) -> Literal["active", "passive"]:
        """Return the local role in the DTLS handshake."""
        return "passive" if self._dtls is not None and self._dtls.role == "server" else "active"

    @property
    def fingerprint(self) -> Fingerprint:
        """Return the fingerprint of the local certificate."""
        return self._own_certificate[1]

    @property
    def _own_certificate(self) -> "tuple[RTCCertificate, Fingerprint]":
        if self._keyed is None:
            raise RuntimeError("the link is not open")
        return self._keyed

    # --- opening and changing -----------------------------------------------------------

    async def open(self, transport: TransportOffer) -> None:
        """Open the sockets for the first offer of the peer.

        Raises:
            LinkError: no socket could be opened.
        """
        self._ice = await self._gather(transport)
        self._transport = transport
        self._dtls = self._association(transport)

    async def offer(self) -> None:
        """Open the sockets for an offer of the switch; `accept` comes with the answer.

        Raises:
            LinkError: no socket could be opened.
        """
        self._ice = await self._gather(None)

    async def accept(self, transport: TransportOffer) -> None:
        """Apply the transport of the answer to the first offer of the switch; `start` comes next."""
        await self._set_remote(self.ice, transport)
        self._transport = transport
        self._dtls = self._association(transport)

    @property
    def generation(self) -> int:
        """Number of the DTLS associations so far: another one means that the peer has come back."""
        return self._generation

    def start(self) -> None:
        """Start to connect; `link_ready` or `link_failed` follows."""
        self._spawn(self._check(self.ice))
        self._spawn(self._establish())

    async def update(self, transport: TransportOffer) -> None:
        """Apply the transport of a later offer: new ICE credentials restart ICE, a new fingerprint rekeys.

        Raises:
            LinkError: no socket could be opened for the restart.
        """
        before = self._transport
        restarts = before is None or transport.credentials != before.credentials
        if restarts:
            await self._restart(transport)
        else:
            await self._add_all(transport)
        self._transport = transport
        await self._rekey(transport)

    async def _rekey(self, transport: TransportOffer) -> None:
        if self._dtls is not None and set(transport.fingerprints) != set(self._dtls.fingerprints):
            await self._dtls.close()
            self._dtls = self._association(transport)
            if self._next is not None:
                # Who has come back is not where it was: a handshake there would be lost until its repetition.
                self._reachable.clear()
            self._spawn(self._establish())

    async def restart(self) -> None:
        """Open the sockets for an ICE restart that the switch offers; `restarted` comes with the answer.

        The role stays (RFC 8445 section 6.1.1).

        Raises:
            LinkError: no socket could be opened.
        """
        before = self.ice
        await self.withdraw()
        self._offered = await self._gather(None, controlling=before.ice_controlling)

    async def restarted(self, transport: TransportOffer) -> None:
        """Apply the answer to the restart that the switch has offered; a new fingerprint rekeys."""
        session, self._offered = self._offered, None
        if session is None:
            raise RuntimeError("no restart was offered")
        await self._set_remote(session, transport)
        await self._replace(session)
        self._transport = transport
        await self._rekey(transport)

    async def withdraw(self) -> None:
        """Drop a restart that was offered and refused; does nothing without one."""
        session, self._offered = self._offered, None
        if session is not None:
            await self._shut(session)

    @property
    def restarting(self) -> bool:
        """Tell whether the switch has offered a restart that is not answered yet."""
        return self._offered is not None

    async def add(self, line: CandidateLine) -> None:
        """Add a candidate of the peer; those of another ICE session are ignored."""
        transport = self._transport
        if transport is None or (line.ufrag and line.ufrag != transport.credentials.ufrag):
            return
        self._candidates += 1
        if self._candidates > MAX_CANDIDATES:
            self._shared.drops.candidates += 1
            return
        await self.ice.add(line)

    async def _gather(
        self, transport: TransportOffer | None, *, controlling: bool | None = None
    ) -> "IceConnection":
        """Open the sockets of a session; without a remote transport, the offer is local (RFC 8445 6.1.1)."""
        if controlling is None:
            controlling = transport is None or transport.lite
        if self._keyed is None:
            self._keyed = await self._shared.certificate()
        session = self._shared.connection(self, controlling=controlling, trickle=self._trickle)
        self._sessions.append(session)
        try:
            await session.gather_candidates()
            if not session.local_candidates:
                raise LinkError("ice", "no media socket could be opened", 503)
            if transport is not None:
                await self._set_remote(session, transport)
        except BaseException:
            await self._shut(session)
            raise
        return session

    async def _shut(self, session: "IceConnection") -> None:
        """Close a session; where this is cancelled before its end, `close` does it again."""
        await session.shut()
        if session in self._sessions:
            self._sessions.remove(session)

    async def _set_remote(self, session: "IceConnection", transport: TransportOffer) -> None:
        """Give a session the peer's credentials and candidates."""
        session.set_remote(transport.credentials, lite=transport.lite)
        self._candidates = 0
        for line in transport.candidates:
            await session.add(line)

    async def _add_all(self, transport: TransportOffer) -> None:
        for line in transport.candidates:
            await self.add(line)

    async def _restart(self, transport: TransportOffer) -> None:
        await self._replace(await self._gather(transport))

    async def _replace(self, session: "IceConnection") -> None:
        """Check the session of a restart beside the one in use."""
        replaced, self._next = self._next, session
        if replaced is not None:
            await self._shut(replaced)
        if not self._reachable.is_set():
            self._promote()
        self._spawn(self._check(session))
        self._spawn(self._watch_restart(session))

    def _promote(self) -> None:
        """Replace the old ICE session by the new one."""
        old, self._ice, self._next = self._ice, self._next, None
        if old is not None:
            self._spawn(self._shut(old))

    async def _watch_restart(self, session: "IceConnection") -> None:
        await asyncio.sleep(self._connect_s)
        if session is self._next:
            self._next = None
            await self._shut(session)
            self._owner.link_warned(LinkError("ice", "the ICE restart did not succeed"))

    # --- connecting ---------------------------------------------------------------------

    async def _check(self, session: "IceConnection") -> None:
        try:
            await session.connect()
        except ConnectionError as error:
            # Only a session that was closed meanwhile fails here; its end is reported elsewhere.
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
            text = (
                "the DTLS handshake did not finish in time"
                if part == "dtls"
                else "ICE found no path to the peer"
            )
            if dtls is self._dtls:
                self._owner.link_failed(LinkError(part, text))
        except DtlsError as error:
            if dtls is self._dtls:
                self._owner.link_failed(LinkError("dtls", str(error), 488))
        else:
            if dtls is self._dtls:
                self.keys = keys
                self._owner.link_ready(self)

    def _association(self, transport: TransportOffer) -> "DtlsAssociation":
        self._generation += 1
        role: Literal["client", "server"] = "server" if transport.setup == "active" else "client"
        return aiortc_private.DtlsAssociation(
            self._own_certificate[0], role, transport.fingerprints, self.send, self._dtls_closed
        )

    # --- media, and events of the sockets -------------------------------------------------

    def send(self, datagram: bytes) -> bool:
        """Send on the nominated pair; False without one."""
        return self._ice is not None and self._ice.send_now(datagram)

    def duplicate_socket(self) -> int:
        """Return a duplicate of the socket in use, which the caller owns; -1 for a pair over a TURN server.

        Raises:
            OSError: the socket is closed, or no descriptor is left.
        """
        return self._ice.duplicate_socket() if self._ice is not None else -1

    def hand_over(self) -> None:
        """Leave the reading of the socket in use to the media engine; `stray` gets what is no media."""
        if self._ice is not None:
            self._ice.hand_over()

    def stray(self, datagram: bytes, source: tuple[str, int]) -> None:
        """Take a datagram of the socket in use that is not media of the peer."""
        if self._ice is not None:
            self._ice.stray(datagram, source)

    def media_received(self, datagram: bytes) -> None:
        """Hand media on; media that overtake the last step of the handshake wait in the engine."""
        self._owner.media_received(datagram)

    def dtls_received(self, datagram: bytes) -> None:
        """Hand a DTLS datagram to the association."""
        if self._dtls is not None and not self._dtls.feed(datagram):
            self._shared.drops.dtls_overflow += 1

    def pair_nominated(self, connection: "Connection") -> None:
        """Handle a nominated pair; that of a restarted session ends the old one."""
        if connection is self._next:
            self._promote()
        if connection is self._ice:
            self._reachable.set()
            if self.keys is not None:
                self._owner.link_ready(self)

    def connection_lost(self, connection: "Connection") -> None:
        """Handle a lost session; a restart under way may still save the call."""
        if connection is not self._ice:
            return
        if self._next is not None:
            self._reachable.clear()
            self._promote()
        else:
            self._owner.link_ended("media_timeout")

    def candidates_found(self, connection: "Connection", lines: Sequence[CandidateLine]) -> None:
        """Pass on late candidates of the session that the last description shows."""
        session = self._next or self._ice
        if session is not None and connection is session:
            ufrag = session.local_username
            self._owner.link_trickled([replace(line, ufrag=ufrag) for line in lines])

    def relay_refused(self, connection: "Connection", reason: str) -> None:
        """Report a TURN server that gives no relay."""
        del connection
        self._owner.link_warned(LinkError("media", reason, 502))

    def _dtls_closed(self, association: "DtlsAssociation") -> None:
        if association is self._dtls:
            self._owner.link_ended("caller")

    # --- the end ----------------------------------------------------------------------------

    async def close(self) -> None:
        """Release everything in bounded time."""
        try:
            if self._dtls is not None:
                await self._dtls.close()
        finally:
            # A task that closes a replaced session may have been cancelled before it began.
            while self._sessions:
                await self._sessions.pop().shut()
