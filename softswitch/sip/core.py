"""What all parts of the user agent share: time, entropy, tables, and how messages of ours begin and leave."""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from softswitch.sip.alarms import Alarm, Alarms
from softswitch.sip.field_values import parse_address
from softswitch.sip.flow import Flow, Outgoing
from softswitch.sip.grammar import MalformedError, is_token
from softswitch.sip.happenings import Happening
from softswitch.sip.head import MAGIC
from softswitch.sip.limits import AgentLimits
from softswitch.sip.message import Request, Response, copy_for_reply
from softswitch.sip.phrases import phrase
from softswitch.sip.timers import Timers
from softswitch.sip.transaction import Hear, Transaction, beside, via_text
from softswitch.sip.transactions import Transactions

ALLOW = "INVITE, ACK, CANCEL, BYE, INFO, MESSAGE, NOTIFY, OPTIONS, PRACK, REFER, REGISTER, SUBSCRIBE, UPDATE"
SUPPORTED = "100rel, norefersub, replaces, timer"
EXTENSIONS = frozenset(SUPPORTED.split(", "))

OWN_HEADERS = frozenset(
    "via from to call-id cseq contact max-forwards content-length content-type route record-route supported "
    "allow require rseq rack session-expires min-se authorization proxy-authorization".split()
)
"""Headers the stack writes itself: what a shell gives under these names is left out."""

MOST_GHOSTS = 4096
"""Ended dialogs remembered, so that a BYE that crossed ours is answered 200."""


LARGEST_DATAGRAM = 1300
"""Bytes of a request that goes by UDP if it may choose (RFC 3261 section 18.1.1): fragments get lost."""
NO_TCP_S = 600.0
"""How long an address that took no TCP is not asked again."""
MOST_WITHOUT_TCP = 1024


class Core:
    """The shared state of one user agent."""

    def __init__(
        self, entropy: Callable[[int], bytes], product: str, timers: Timers, limits: AgentLimits
    ) -> None:
        self.entropy = entropy
        self.product = product
        self.timers = timers
        self.limits = limits
        self.counters: Counter[str] = Counter()
        self.alarms = Alarms()
        self.transactions = Transactions(timers, self.alarms, limits.transactions, self.counters)
        self.happenings: list[Happening] = []
        self._ghosts: OrderedDict[tuple[str, str, str], float] = OrderedDict()
        self._without_tcp: OrderedDict[tuple[str, int], float] = OrderedDict()

    @property
    def now(self) -> float:
        """Return the time of the call into the agent that is being served."""
        return self.transactions.now

    def token(self, size: int = 8) -> str:
        """Return a random word of twice `size` hexadecimal letters."""
        return self.entropy(size).hex()

    def chance(self) -> float:
        """Return a random number from 0 to 1."""
        return int.from_bytes(self.entropy(4), "big") / 2**32

    def tell(self, happening: Happening) -> None:
        """Tell the shell."""
        self.happenings.append(happening)

    def count(self, what: str) -> None:
        """Count something that was dropped, refused or odd."""
        self.counters[what] += 1

    def later(self, delay: float, call: Callable[[], None]) -> Alarm:
        """Have `call` called in `delay` seconds."""
        return self.alarms.at(self.now + delay, call)

    # ------------------------------------------------------------------ messages of ours
    def ask(self, request: Request, flow: Flow, hear: Hear) -> Transaction:
        """Send a request in a transaction of its own; by TCP where it is too large and that may be."""
        self._sign(request, flow)
        if flow.or_tcp and flow.transport == "udp" and len(bytes(request)) > LARGEST_DATAGRAM:
            if self._without_tcp.get((flow.host, flow.port), 0.0) <= self.now:
                flow = replace(flow, transport="tcp", connection=0)
                self._sign(request, flow)
            else:
                self.count("large_by_udp")
        return self.transactions.ask(request, flow, hear)

    def took_no_tcp(self, flow: Flow) -> None:
        """Note that a request which TCP was tried for found nobody there."""
        self.count("without_tcp")
        self._without_tcp.pop((flow.host, flow.port), None)
        self._without_tcp[flow.host, flow.port] = self.now + NO_TCP_S
        while len(self._without_tcp) > MOST_WITHOUT_TCP:
            self._without_tcp.popitem(last=False)

    def send(self, request: Request, flow: Flow) -> Outgoing:
        """Send a request without transaction: the ACK to a 2xx. Return it for its repetition."""
        self._sign(request, flow)
        outgoing = Outgoing(bytes(request), flow, "")
        self.transactions.send(outgoing)
        return outgoing

    def response(
        self,
        transaction: Transaction,
        code: int,
        reason: str = "",
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    ) -> Response:
        """Begin a response, with the headers a shell gives."""
        response = copy_for_reply(transaction.request, code, reason or phrase(code), transaction.tag)
        self.write(response, headers)
        if self.product:
            response.headers.set("Server", self.product)
        return response

    def reply(
        self,
        transaction: Transaction,
        code: int,
        reason: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> bool:
        """Send a response of the stack's own, without a body; False where a final one went out before."""
        if transaction.answered:
            return False
        response = self.response(transaction, code, reason)
        for name, value in (headers or {}).items():
            response.headers.set(name, value)
        return transaction.respond(response)

    def reply_least(self, transaction: Transaction) -> None:
        """Refuse a session interval that is too short (RFC 4028 section 6)."""
        response = self.response(transaction, 422)
        response.headers.set("Min-SE", str(self.limits.min_se))
        transaction.respond(response)

    def cancel(self, invite: Transaction, headers: Mapping[str, str] | None = None) -> None:
        """Send the CANCEL of an INVITE of ours, once."""
        if invite.owner == "cancelled":
            return
        invite.owner = "cancelled"
        request = beside(invite.request, "CANCEL")
        self.write(request, headers or {})
        self.transactions.ask(request, invite.flow, lambda *_: None)

    def write(
        self, message: Request | Response, headers: Mapping[str, str] | Iterable[tuple[str, str]]
    ) -> None:
        """Write a shell's headers into a message, but for the stack's own, without control characters."""
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        for name, value in pairs:
            if name.lower() in OWN_HEADERS or not is_token(name):
                self.count("header_refused")
                continue
            message.headers.add(name, clean(value))

    def _sign(self, request: Request, flow: Flow) -> None:
        request.headers.set("Via", via_text(flow, MAGIC + self.token(10)))
        if self.product:
            request.headers.set("User-Agent", self.product)

    # ------------------------------------------------------------------ ended dialogs
    def bury(self, dialog: tuple[str, str, str]) -> None:
        """Remember an ended dialog for a while."""
        self._ghosts[dialog] = self.now + 64 * self.timers.t1
        while len(self._ghosts) > MOST_GHOSTS or next(iter(self._ghosts.values())) <= self.now:
            self._ghosts.popitem(last=False)

    def buried(self, dialog: tuple[str, str, str]) -> bool:
        """Return whether a dialog ended a short while ago."""
        until = self._ghosts.get(dialog)
        return until is not None and until > self.now


def clean(value: str) -> str:
    """Return a header's value without control characters."""
    return "".join(letter if letter >= " " and letter != "\x7f" else " " for letter in value).strip()


def check_party(text: str, field: str) -> None:
    """Check a From or To that a shell gives.

    Raises:
        MalformedError: it is no address, or has a tag, which is ours to write.
    """
    if "tag" in parse_address(text, field).parameters:
        raise MalformedError(400, f"{field} may not have a tag", field=field)


def headers_of(message: Request | Response) -> dict[str, str]:
    """Return the headers of a message for the shell, several of one name joined with commas."""
    return {name: ", ".join(message.headers.getlist(name)) for name in message.headers.keys()}  # noqa: SIM118
