"""The media of one SIP leg: sockets, descriptions, keys and the port in the engine; it knows no SIP."""

from dataclasses import dataclass, replace

from softswitch.endpoints.rtp_parameters import StreamIdentity
from softswitch.endpoints.sip.media_port import MediaPort
from softswitch.endpoints.sip.media_shared import MediaOwner, MediaWish, SipMediaShared
from softswitch.endpoints.sip.media_way import Life, Way
from softswitch.endpoints.sip.media_ways import allowed, make_way, offered_keying
from softswitch.errors import RejectedError
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
    own_text,
    parse,
)

LEVEL_EXTENSION = 1
"""Id of the audio level header extension in our offers to browsers."""


@dataclass(frozen=True, slots=True)
class _Offer:
    """An offer of ours."""

    description: Description
    keying: Keying
    way: Way
    direction: Direction
    answer: str = ""
    """The text of the answer, once it came."""


class SipMedia:
    """One audio stream, negotiated by offers and answers in either direction (RFC 3264).

    Offers and answers strictly alternate; `pending` tells that one of ours waits for its answer. Whatever
    raises leaves the media as they were.
    """

    def __init__(
        self, shared: SipMediaShared, port: int, mix: int, wish: MediaWish, owner: MediaOwner
    ) -> None:
        """Make media that hold nothing yet.

        Args:
            shared: what it has in common with all others.
            port: of the leg in the engine; opened with the first agreement.
            mix: of the leg's call.
            wish: what is wanted.
            owner: whom it tells.
        """
        self.port = port
        self.agreement: Agreement | None = None
        self.on_hold = False
        """The far end does not want to hear us."""
        self.local_sdp = ""
        """Our last description, as it was sent: for the 200 after a 183."""
        self._shared, self._wish, self._owner = shared, wish, owner
        self._identity = StreamIdentity.draw(shared.random)
        self._session, self._version = shared.random.getrandbits(62), 0
        self._direction: Direction = "sendrecv"
        """What we want; what flows is what the far end leaves of it."""
        self._layout = Layout()
        self._mid = ""
        self._way: Way | None = None
        self._keying: Keying = "plain"
        self._offer: _Offer | None = None
        self._port = MediaPort(shared.engine, port, mix, wish, self._identity)
        self._life = Life(port, self)

    # --- offers and answers -------------------------------------------------------------------

    @property
    def pending(self) -> bool:
        """Tell whether an offer of ours waits for its answer."""
        return self._offer is not None and not self._offer.answer

    async def offer(self) -> str:
        """Return the first offer, or the offer that a re-INVITE without one asks for.

        Raises:
            NotNowError: no port is free.
        """
        self._refuse_after_the_end()
        if self.agreement is not None:
            return self.reoffer(self._direction)
        keying = offered_keying(self._wish)
        way = self._way
        if way is None or not way.serves(keying):
            way = await self._open(keying, offering=True)
            await self._change_way(way)
        self._keying = keying
        self._mid = "0" if keying == "ice" else ""
        self._layout = Layout(bundled=self._mid)
        formats = offered_formats(self._wish.codecs, self._wish.preferred)
        level = LEVEL_EXTENSION if keying == "ice" else 0
        return self._offered(way, formats, "sendrecv", self._wish.ptime_ms, level)

    async def take_answer(self, sdp: str) -> Agreement:
        """Take the answer to the offer that waits: early or final; the same again changes nothing.

        Raises:
            PeerError: it cannot be read (400), or does not fit the offer (488).
        """
        self._refuse_after_the_end()
        offer = self._offer
        if offer is None:
            raise RejectedError("there is no offer of ours to answer", field="sdp")
        if sdp == offer.answer and self.agreement is not None:
            return self.agreement
        answer = parse(sdp)
        agreement = accept(offer.description, answer)
        media = answer.media[agreement.index]
        if keying_of(answer, media, {offer.keying}) != offer.keying:
            raise NotAcceptableError("the answer has not the keys that the offer asks for", field="answer")
        await offer.way.take(answer, media, offer.keying, answer=True)
        self._offer = replace(offer, answer=sdp)
        self._direction = offer.direction
        # What we do not send nobody can be on hold from: an answer to our own hold says nothing new.
        holds = agreement.on_hold if can_send(offer.direction) else self.on_hold
        self._agree(agreement, on_hold=holds)
        return agreement

    async def answer(self, offer: str) -> str:
        """Take an offer of theirs, the first or a later one, and return the answer.

        Raises:
            PeerError: it cannot be read (400), or nothing can be agreed on (488).
            NotNowError: no port is free.
        """
        self._refuse_after_the_end()
        description = parse(offer)
        ways = allowed(self._wish)
        agreement = negotiate(
            description,
            profiles=PLAIN_PROFILES | SECURE_PROFILES,
            preferred=self._wish.preferred,
            supported=self._wish.codecs,
            accepts=lambda media: keying_of(description, media, ways) is not None,
            ptime_ms=self._wish.ptime_ms,
        )
        media = description.media[agreement.index]
        keying = keying_of(description, media, ways)
        if keying is None:
            raise NotAcceptableError("the offer has no keys that can be used", field="offer")
        way = self._way
        if way is None or not way.serves(keying):
            way = await self._open(keying, offering=False)
        try:
            await way.take(description, media, keying, answer=False)
        except BaseException:
            if way is not self._way:
                await self._shut(way)
            raise
        await self._change_way(way)
        self._keying, self._offer = keying, None
        self._layout, self._mid = layout_of(description, agreement.index), media.first("mid") or ""
        # A first offer of one direction is an announcement or a microphone, nobody's hold.
        first = self.agreement is None
        self._agree(agreement, on_hold=agreement.on_hold and not first)
        own = self._own(
            way.answered(media.protocol),
            (agreement.codec, *agreement.events),
            narrowed(self._direction, agreement.offered),
            agreement.ptime_ms,
            agreement.level_extension,
        )
        self.local_sdp = self._text(own)
        return self.local_sdp

    def reoffer(self, direction: Direction = "sendrecv") -> str:
        """Return an offer of what is agreed on, with a direction: hold, resume, session refresh.

        Raises:
            RejectedError: nothing is agreed on yet.
        """
        self._refuse_after_the_end()
        agreement, way = self.agreement, self._way
        if agreement is None or way is None:
            raise RejectedError("nothing is agreed on yet", field="sdp")
        formats = (agreement.codec, *agreement.events)
        return self._offered(way, formats, direction, agreement.ptime_ms, agreement.level_extension)

    def withdraw(self) -> None:
        """Forget the offer that waits: it was refused."""
        self._offer = None

    # --- digits ---------------------------------------------------------------------------------

    def dtmf(self, digits: str) -> bool:
        """Send digits in the media; False where the far end knows no events (or INFO is wished for)."""
        return self._port.dial(digits)

    def tones(self, digits: str) -> None:
        """Send digits in-band, for a far end that knows no events."""
        self._port.sound(digits)

    # --- the way and the port -----------------------------------------------------------------------

    async def _open(self, keying: Keying, *, offering: bool) -> Way:
        await self._life.begin()
        way = make_way(self._shared, self._life, self, self.port, self._wish, keying)
        try:
            await way.open(offering=offering)
        except BaseException:
            await way.close()
            raise
        if not self._life.adopt(way):
            await way.close()
            raise RejectedError("the leg is over", field="sdp")
        return way

    def _refuse_after_the_end(self) -> None:
        if self._life.is_over:
            raise RejectedError("the leg is over", field="sdp")

    async def _shut(self, way: Way) -> None:
        if way in self._life.ways:
            self._life.ways.remove(way)
            await way.close()

    async def _change_way(self, way: Way) -> None:
        before, self._way = self._way, way
        if before is not None and before is not way:
            await self._shut(before)

    def _agree(self, agreement: Agreement, *, on_hold: bool) -> None:
        """Let the engine follow what was agreed on, and tell of a hold."""
        self.agreement = agreement
        self._port.follow(agreement)
        if self._way is not None:
            self._way.connect()
        self._port.flow(narrowed(self._direction, agreement.offered), on_hold=on_hold)
        if on_hold != self.on_hold:
            self.on_hold = on_hold
            self._owner.media_held(on_hold)

    # --- descriptions ---------------------------------------------------------------------------------

    def _offered(
        self,
        way: Way,
        formats: tuple[PayloadType, ...],
        direction: Direction,
        ptime_ms: int,
        level_extension: int,
    ) -> str:
        own = self._own(way.offered(), formats, direction, ptime_ms, level_extension)
        self.local_sdp = self._text(own)
        self._offer = _Offer(parse(self.local_sdp), self._keying, way, direction)
        return self.local_sdp

    def _own(
        self,
        transport: OwnTransport,
        formats: tuple[PayloadType, ...],
        direction: Direction,
        ptime_ms: int,
        level_extension: int,
    ) -> OwnAudio:
        return OwnAudio(
            transport,
            formats,
            ssrc=self._identity.ssrc,
            cname=self._identity.cname,
            direction=direction,
            ptime_ms=ptime_ms,
            level_extension=level_extension,
            mid=self._mid,
        )

    def _text(self, own: OwnAudio) -> str:
        """Return a description; its version grows where anything else has changed (RFC 3264 section 8)."""
        text = own_text(own, self._layout, self._session, self._version)
        if text == self.local_sdp:
            return text
        self._version += 1
        return own_text(own, self._layout, self._session, self._version)

    # --- what the way tells -----------------------------------------------------------------------------

    def media_held(self, on_hold: bool) -> None:
        """Say nothing: no way knows of holds."""

    def media_failed(self, sender: str, error: str, code: int) -> None:
        """Hand on that the far end cannot be reached."""
        if not self._life.is_over:
            self._owner.media_failed(sender, error, code)

    def media_ended(self, reason: str) -> None:
        """Hand on that the way is gone."""
        if not self._life.is_over:
            self._owner.media_ended(reason)

    def media_warned(self, sender: str, error: str, code: int) -> None:
        """Hand on what went wrong."""
        if not self._life.is_over:
            self._owner.media_warned(sender, error, code)

    # --- the end ----------------------------------------------------------------------------------------

    def close(self) -> None:
        """Stop everything and give the port back; nothing is told any more. May be called often."""
        if self._life.is_over:
            return
        self._life.end()
        self._way = self._offer = None
        self._shared.relaying.pop(self.port, None)
        self._port.remove()

    async def closed(self) -> None:
        """Return when everything is released."""
        await self._life.ended()
