"""The media of one SIP leg: sockets, descriptions, keys and the port in the engine; it knows no SIP."""

from softswitch.endpoints.sip.media_shared import MediaOwner, MediaWish, SipMediaShared
from softswitch.sdp import Agreement, Direction


class SipMedia:
    """One audio stream, negotiated by offers and answers in either direction (RFC 3264).

    Offers and answers strictly alternate; `pending` tells that one of ours waits for its answer. Whatever
    raises leaves the media as they were.
    """

    agreement: Agreement | None
    """What was agreed on last."""
    on_hold: bool
    """The far end does not want to hear us."""
    local_sdp: str
    """Our last description, as it was sent: for the 200 after a 183."""

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

    @property
    def pending(self) -> bool:
        """Tell whether an offer of ours waits for its answer."""

    async def offer(self) -> str:
        """Return the first offer, or the offer that a re-INVITE without one asks for.

        Raises:
            NotNowError: no port is free.
        """

    async def take_answer(self, sdp: str) -> Agreement:
        """Take the answer to the offer that waits: early or final; the same again changes nothing.

        Raises:
            PeerError: it cannot be read (400), or does not fit the offer (488).
        """

    async def answer(self, offer: str) -> str:
        """Take an offer of theirs, the first or a later one, and return the answer.

        Raises:
            PeerError: it cannot be read (400), or nothing can be agreed on (488).
            NotNowError: no port is free.
        """

    def reoffer(self, direction: Direction = "sendrecv") -> str:
        """Return an offer of what is agreed on, with a direction: hold, resume, session refresh.

        Raises:
            RejectedError: nothing is agreed on yet.
        """

    def withdraw(self) -> None:
        """Forget the offer that waits: it was refused."""

    def dtmf(self, digits: str) -> bool:
        """Send digits in the media; False where the far end knows no events (or INFO is wished for)."""

    def tones(self, digits: str) -> None:
        """Send digits as tones, whatever the far end knows."""

    def close(self) -> None:
        """Stop everything and give the port back; nothing is told any more. May be called often."""

    async def closed(self) -> None:
        """Return when everything is released."""
