"""Negotiation of the media of one SIP leg: descriptions, transport and engine port; it knows no SIP."""

from dataclasses import dataclass, replace

from softswitch.errors import RejectedError
from softswitch.legs.rtp_parameters import StreamIdentity
from softswitch.legs.sip.media.choose import allowed, make_transport, offered_keying
from softswitch.legs.sip.media.host_names import with_addresses
from softswitch.legs.sip.media.port import MediaPort
from softswitch.legs.sip.media.shared import MediaOptions, MediaOwner, SipMediaShared
from softswitch.legs.sip.media.transport import MediaTasks, MediaTransport
from softswitch.sdp import (
    PLAIN_PROFILES,
    SECURE_PROFILES,
    Agreement,
    Description,
    Direction,
    Keying,
    Layout,
    NotAcceptableError,
    OwnAudio,
    OwnTransport,
    PayloadType,
    accept,
    can_send,
    keying_of,
    layout_of,
    narrowed,
    negotiate,
    offered_formats,
    own_description,
    parse,
)

_WITHOUT_TASKS = frozenset({"plain", "sdes"})
"""Keyings whose transports start no task: most calls of telephones have one of these."""
LEVEL_EXTENSION = 1
"""Id of the audio level header extension in offers to browsers."""


@dataclass(frozen=True, slots=True)
class _Offer:
    """An offer of the switch."""

    description: Description
    keying: Keying
    transport: MediaTransport
    direction: Direction
    answer: str = ""
    """Text of the answer, once it came."""


class SipMedia:
    """One audio stream, negotiated by offers and answers in either direction (RFC 3264).

    Offers and answers alternate strictly; `pending` tells that an offer of the switch waits for its answer. A
    method that raises leaves the media unchanged.
    """

    def __init__(
        self, shared: SipMediaShared, port: int, mix: int, options: MediaOptions, owner: MediaOwner
    ) -> None:
        """Prepare without sockets.

        Args:
            shared: media resources of all SIP legs.
            port: port of the leg in the engine; opened with the first agreement.
            mix: mix of the leg's call.
            options: options of the media.
            owner: receives the media events.
        """
        self.port = port
        self.agreement: Agreement | None = None
        self.on_hold = False
        """The peer has put the switch on hold."""
        self.local_sdp = ""
        """The last local description as it was sent: for the 200 after a 183."""
        self._shared, self._options, self._owner = shared, options, owner
        self._identity = StreamIdentity.draw(shared.random)
        self._session, self._version = shared.random.getrandbits(62), 0
        self._direction: Direction = "sendrecv"
        """Direction that the switch wants; the effective one is narrowed by the peer."""
        self._layout = Layout()
        self._mid = ""
        self._transport: MediaTransport | None = None
        self._keying: Keying = "plain"
        self._offer: _Offer | None = None
        self._port = MediaPort(shared.engine, port, mix, options, self._identity, near=shared.near)
        self._tasks = MediaTasks(port, self)

    # --- offers and answers -------------------------------------------------------------------

    @property
    def pending(self) -> bool:
        """Tell whether an offer of the switch waits for its answer."""
        return self._offer is not None and not self._offer.answer

    async def offer(self) -> str:
        """Return the first offer, or the offer that a re-INVITE without one asks for.

        Raises:
            NotNowError: no port is free.
        """
        self._refuse_after_the_end()
        if self.agreement is not None:
            return self.reoffer(self._direction)
        keying = offered_keying(self._options)
        transport = self._transport
        if transport is None or not transport.serves(keying):
            transport = await self._open(keying, offering=True)
            await self._set_transport(transport)
        self._keying = keying
        self._mid = "0" if keying == "ice" else ""
        self._layout = Layout(bundled=self._mid)
        formats = offered_formats(self._options.codecs, self._options.preferred)
        level = LEVEL_EXTENSION if keying == "ice" else 0
        return self._offered(transport, formats, "sendrecv", self._options.ptime_ms, level)

    async def take_answer(self, sdp: str) -> Agreement:
        """Apply an answer to the pending offer, early or final; the same answer again changes nothing.

        Raises:
            PeerError: it is malformed (400), or does not fit the offer (488).
        """
        self._refuse_after_the_end()
        offer = self._offer
        if offer is None:
            raise RejectedError("the answer belongs to no pending offer", field="sdp")
        if sdp == offer.answer and self.agreement is not None:
            return self.agreement
        answer = await with_addresses(parse(sdp), self._shared.resolve)
        self._refuse_after_the_end()
        agreement = accept(offer.description, answer)
        media = answer.media[agreement.index]
        if keying_of(answer, media, {offer.keying}) != offer.keying:
            raise NotAcceptableError("the answer lacks the keys that the offer asks for", field="answer")
        await offer.transport.take(answer, media, offer.keying, answer=True)
        self._offer = replace(offer, answer=sdp)
        self._direction = offer.direction
        # While the switch does not send, the peer cannot hold it: an answer to the own hold says nothing new.
        holds = agreement.on_hold if can_send(offer.direction) else self.on_hold
        self._agree(agreement, on_hold=holds)
        return agreement

    async def answer(self, offer: str) -> str:
        """Apply an offer of the peer, the first or a later one, and return the answer.

        Raises:
            PeerError: it is malformed (400), or has nothing acceptable (488).
            NotNowError: no port is free.
        """
        self._refuse_after_the_end()
        description = await with_addresses(parse(offer), self._shared.resolve)
        self._refuse_after_the_end()
        keyings = allowed(self._options)
        agreement = negotiate(
            description,
            profiles=PLAIN_PROFILES | SECURE_PROFILES,
            preferred=self._options.preferred,
            supported=self._options.codecs,
            accepts=lambda media: keying_of(description, media, keyings) is not None,
            ptime_ms=self._options.ptime_ms,
        )
        media = description.media[agreement.index]
        keying = keying_of(description, media, keyings)
        if keying is None:
            raise NotAcceptableError(
                "the offer has no keying that [sip] srtp or the trunk allows", field="offer"
            )
        transport = self._transport
        if transport is None or not transport.serves(keying):
            transport = await self._open(keying, offering=False)
        try:
            await transport.take(description, media, keying, answer=False)
        except BaseException:
            if transport is not self._transport:
                await self._shut(transport)
            raise
        await self._set_transport(transport)
        self._keying, self._offer = keying, None
        self._layout, self._mid = layout_of(description, agreement.index), media.first("mid") or ""
        # A first offer of one direction is an announcement or a microphone, not a hold.
        first = self.agreement is None
        self._agree(agreement, on_hold=agreement.on_hold and not first)
        own = self._own(
            transport.answered(media.protocol),
            (agreement.codec, *agreement.events),
            narrowed(self._direction, agreement.offered),
            agreement.ptime_ms,
            agreement.level_extension,
        )
        self._describe(own)
        return self.local_sdp

    def reoffer(self, direction: Direction = "sendrecv") -> str:
        """Return an offer of what is agreed on, with a direction: hold, resume or session refresh.

        Raises:
            RejectedError: nothing is agreed on yet.
        """
        self._refuse_after_the_end()
        agreement, transport = self.agreement, self._transport
        if agreement is None or transport is None:
            raise RejectedError("nothing is agreed on yet", field="sdp")
        formats = (agreement.codec, *agreement.events)
        return self._offered(transport, formats, direction, agreement.ptime_ms, agreement.level_extension)

    def moved(self) -> str:
        """Return an offer with the present local address; "" where it is the one that the peer knows.

        With ICE, `restart` offers another path.
        """
        if (
            self.agreement is None
            or self._transport is None
            or (self._offer is not None and not self._offer.answer)
        ):
            return ""
        if self._keying == "ice" or self._transport.offered().address in self.local_sdp.split():
            return ""
        return self.reoffer(self._direction)

    async def restart(self, present: frozenset[str]) -> str:
        """Return an offer of another path where the one in use begins at an address that is gone; else "".

        Args:
            present: the addresses of this machine.

        Raises:
            NotNowError: no socket is free.
        """
        transport = self._transport
        if self.agreement is None or transport is None or self.pending:
            return ""
        if not await transport.restart(present):
            return ""
        if self._tasks.is_over or transport is not self._transport or self.pending:
            await transport.withdraw()
            return ""
        return self.reoffer(self._direction)

    async def withdraw(self) -> None:
        """Drop the pending offer, which was refused."""
        self._offer = None
        if self._transport is not None:
            await self._transport.withdraw()

    # --- digits ---------------------------------------------------------------------------------

    def send_digits(self, digits: str) -> bool:
        """Send digits in the media; False where the peer supports no events, or the options ask for INFO."""
        return self._port.send_digits(digits)

    def send_tones(self, digits: str) -> None:
        """Send digits as tones, for a peer that supports no events."""
        self._port.send_tones(digits)

    # --- transport and port ---------------------------------------------------------------------

    async def _open(self, keying: Keying, *, offering: bool) -> MediaTransport:
        if keying not in _WITHOUT_TASKS:
            await self._tasks.begin()
        transport = make_transport(
            self._shared, self._tasks, self, port=self.port, options=self._options, keying=keying
        )
        try:
            await transport.open(offering=offering)
        except BaseException:
            await transport.close()
            raise
        if not self._tasks.adopt(transport):
            await transport.close()
            raise RejectedError("the leg has ended", field="sdp")
        return transport

    def _refuse_after_the_end(self) -> None:
        if self._tasks.is_over:
            raise RejectedError("the leg has ended", field="sdp")

    async def _shut(self, transport: MediaTransport) -> None:
        if transport in self._tasks.transports:
            await transport.close()
            # Only now: where closing is cancelled, the end of the tasks closes it again.
            if transport in self._tasks.transports:
                self._tasks.transports.remove(transport)

    async def _set_transport(self, transport: MediaTransport) -> None:
        before, self._transport = self._transport, transport
        if before is not None and before is not transport:
            await self._shut(before)

    def _agree(self, agreement: Agreement, *, on_hold: bool) -> None:
        """Apply an agreement to the engine and the transport, and report a hold."""
        self.agreement = agreement
        self._port.follow(agreement)
        if self._transport is not None:
            self._transport.connect()
        self._port.flow(narrowed(self._direction, agreement.offered), on_hold=on_hold)
        if on_hold != self.on_hold:
            self.on_hold = on_hold
            self._owner.media_held(on_hold)

    # --- descriptions ---------------------------------------------------------------------------------

    def _offered(
        self,
        transport: MediaTransport,
        formats: tuple[PayloadType, ...],
        direction: Direction,
        ptime_ms: int,
        level_extension: int,
    ) -> str:
        own = self._own(transport.offered(), formats, direction, ptime_ms, level_extension)
        self._offer = _Offer(self._describe(own), self._keying, transport, direction)
        return self.local_sdp

    def _own(
        self,
        parameters: OwnTransport,
        formats: tuple[PayloadType, ...],
        direction: Direction,
        ptime_ms: int,
        level_extension: int,
    ) -> OwnAudio:
        return OwnAudio(
            parameters,
            formats,
            ssrc=self._identity.ssrc,
            cname=self._identity.cname,
            direction=direction,
            ptime_ms=ptime_ms,
            level_extension=level_extension,
            mid=self._mid,
        )

    def _describe(self, own: OwnAudio) -> Description:
        """Make `local_sdp`; its version grows where its content has changed (RFC 3264 section 8)."""
        if self.local_sdp:
            description = own_description(own, self._layout, self._session, self._version)
            if description.text() == self.local_sdp:
                return description
        self._version += 1
        description = own_description(own, self._layout, self._session, self._version)
        self.local_sdp = description.text()
        return description

    # --- events of the transport ---------------------------------------------------------------------

    def media_held(self, on_hold: bool) -> None:
        """Do nothing: transports report no holds."""

    def media_failed(self, sender: str, error: str, code: int) -> None:
        """Report media that cannot be connected."""
        if not self._tasks.is_over:
            self._owner.media_failed(sender, error, code)

    def media_ended(self, reason: str) -> None:
        """Report the end of the media."""
        if not self._tasks.is_over:
            self._owner.media_ended(reason)

    def media_warned(self, sender: str, error: str, code: int) -> None:
        """Report a fault of the transport."""
        if not self._tasks.is_over:
            self._owner.media_warned(sender, error, code)

    # --- the end ----------------------------------------------------------------------------------------

    def close(self) -> None:
        """Stop everything and close the port; no event is reported afterwards. Further calls do nothing."""
        if self._tasks.is_over:
            return
        self._tasks.end()
        self._transport = self._offer = None
        self._shared.relaying.pop(self.port, None)
        self._port.remove()

    @property
    def path(self) -> str:
        """Return the way of the media in words: local and remote address; "" while unknown."""
        return self._transport.path if self._transport is not None else ""

    async def closed(self) -> None:
        """Return when everything is released."""
        await self._tasks.ended()
