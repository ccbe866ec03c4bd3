"""What pyVoIP has no notion of: a request and its answers, each sent again until it is answered."""

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from softswitch.endpoints.pyvoip.account import Address
from softswitch.sip.message import Request, Response

T1 = 0.5
"""Estimated round trip (RFC 3261 §17.1.1.1)."""
T2 = 4.0
TIMEOUT_S = 64 * T1
_MOST_REPLIES = 512
"""Replies and ACKs remembered for repeated messages: those of 30 calls many times over."""

OnAnswer = Callable[[Response, Address], None]


@dataclass(slots=True)
class Exchange:
    """A message that is sent again and again."""

    data: bytes
    to: Address
    due: float
    """When to send it next."""
    ends: float
    """When to give up."""
    given_up: Callable[[], None]
    answered: OnAnswer | None = None
    interval: float = T1
    most: float = T2

    def proceed(self, ends: float) -> None:
        """Stop sending: a provisional response came, the final one may take until `ends`."""
        self.due, self.ends = math.inf, ends


class Exchanges:
    """All of them of one telephone, and what was answered lately."""

    def __init__(self, send: Callable[[bytes, Address], None]) -> None:
        """Begin with none."""
        self._send = send
        self._open: dict[tuple[str, ...], Exchange] = {}
        self._replies: OrderedDict[tuple[str, ...], tuple[bytes, Address]] = OrderedDict()

    def __len__(self) -> int:
        """Return how many are open."""
        return len(self._open)

    def begin(self, key: tuple[str, ...], exchange: Exchange) -> None:
        """Send a message, and again until :meth:`end`."""
        self._open[key] = exchange
        exchange.due += exchange.interval
        self._send(exchange.data, exchange.to)

    def keep(self, key: tuple[str, ...], exchange: Exchange) -> None:
        """Wait for an answer without sending anything."""
        self._open[key] = exchange

    def get(self, key: tuple[str, ...]) -> Exchange | None:
        """Return an open exchange."""
        return self._open.get(key)

    def end(self, key: tuple[str, ...]) -> Exchange | None:
        """Close an exchange and return it."""
        return self._open.pop(key, None)

    def remember(self, key: tuple[str, ...], data: bytes, to: Address) -> None:
        """Keep what was sent, for when the message that it answers comes again."""
        self._replies[key] = data, to
        self._replies.move_to_end(key)
        if len(self._replies) > _MOST_REPLIES:
            self._replies.popitem(last=False)

    def repeat(self, key: tuple[str, ...]) -> bool:
        """Send what was remembered once more; False where nothing is."""
        if known := self._replies.get(key):
            self._send(*known)
        return known is not None

    def deadline(self) -> float:
        """Return when :meth:`elapse` wants to be called."""
        return min((min(one.due, one.ends) for one in self._open.values()), default=math.inf)

    def elapse(self, now: float) -> None:
        """Send what is due, and give up what has waited long enough."""
        for key, one in list(self._open.items()):
            if now >= one.ends:
                self._open.pop(key, None)
                one.given_up()
            elif now >= one.due:
                one.interval = min(2 * one.interval, one.most)
                one.due = now + one.interval
                self._send(one.data, one.to)


def key_of(request: Request) -> tuple[str, ...]:
    """Return what two copies of a request have in common (RFC 3261 §17.2.3)."""
    via = request.via[0]
    sent_by = f"{via.host}:{via.port}"
    return ("us", branch_of(request), sent_by, request.call_id, str(request.cseq.sequence), request.method)


def branch_of(message: Request | Response) -> str:
    """Return the branch of the topmost Via."""
    return message.via[0].parameters.get("branch") or ""
