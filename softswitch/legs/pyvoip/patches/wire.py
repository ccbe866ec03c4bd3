"""Retransmission, which pyVoIP lacks: requests and responses are sent again until they are answered."""

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from softswitch.legs.pyvoip.account import Address
from softswitch.sip.syntax.message import Request, Response

T1 = 0.5
"""Estimated round-trip time (RFC 3261 §17.1.1.1), in seconds."""
T2 = 4.0
TIMEOUT_S = 64 * T1
_MOST_REPLIES = 512
"""Responses and ACKs kept for repeated messages: several times those of 30 calls."""

OnAnswer = Callable[[Response, Address], None]


@dataclass(slots=True)
class Exchange:
    """A message that is retransmitted."""

    data: bytes
    to: Address
    due: float
    """Time of the next transmission."""
    ends: float
    """Time to give up."""
    given_up: Callable[[], None]
    answered: OnAnswer | None = None
    interval: float = T1
    most: float = T2

    def proceed(self, ends: float) -> None:
        """Stop to retransmit: after a provisional response, the final one may come until `ends`."""
        self.due, self.ends = math.inf, ends


class Exchanges:
    """The exchanges of one telephone, and its recent responses."""

    def __init__(self, send: Callable[[bytes, Address], None]) -> None:
        """Prepare without exchanges."""
        self._send = send
        self._open: dict[tuple[str, ...], Exchange] = {}
        self._replies: OrderedDict[tuple[str, ...], tuple[bytes, Address]] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of open exchanges."""
        return len(self._open)

    def begin(self, key: tuple[str, ...], exchange: Exchange) -> None:
        """Send a message, and again until :meth:`end`."""
        self._open[key] = exchange
        exchange.due += exchange.interval
        self._send(exchange.data, exchange.to)

    def keep(self, key: tuple[str, ...], exchange: Exchange) -> None:
        """Wait for a response without sending."""
        self._open[key] = exchange

    def get(self, key: tuple[str, ...]) -> Exchange | None:
        """Return an open exchange."""
        return self._open.get(key)

    def end(self, key: tuple[str, ...]) -> Exchange | None:
        """Close an exchange and return it."""
        return self._open.pop(key, None)

    def remember(self, key: tuple[str, ...], data: bytes, to: Address) -> None:
        """Keep a sent message for repetitions of the message that it answers."""
        self._replies[key] = data, to
        self._replies.move_to_end(key)
        if len(self._replies) > _MOST_REPLIES:
            self._replies.popitem(last=False)

    def repeat(self, key: tuple[str, ...]) -> bool:
        """Send a kept message again; False without one."""
        if known := self._replies.get(key):
            self._send(*known)
        return known is not None

    def deadline(self) -> float:
        """Return the monotonic time at which :meth:`elapse` is next needed."""
        return min((min(one.due, one.ends) for one in self._open.values()), default=math.inf)

    def elapse(self, now: float) -> None:
        """Send what is due at `now`, and give up what has waited too long."""
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
    return (
        "received",
        branch_of(request),
        sent_by,
        request.call_id,
        str(request.cseq.sequence),
        request.method,
    )


def branch_of(message: Request | Response) -> str:
    """Return the branch of the topmost Via."""
    return message.via[0].parameters.get("branch") or ""
