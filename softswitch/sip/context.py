"""State that all parts of a user agent share: time, randomness, limits, counters, transactions and events.

`AgentContext` also builds and sends what every part needs: requests in a transaction, responses, CANCEL.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from softswitch.sip.events import CallEvent
from softswitch.sip.limits import AgentLimits
from softswitch.sip.syntax.field_values import parse_address
from softswitch.sip.syntax.grammar import MalformedError, is_token
from softswitch.sip.syntax.head import MAGIC
from softswitch.sip.syntax.headers import long_name
from softswitch.sip.syntax.message import Request, Response, copy_for_reply
from softswitch.sip.syntax.phrases import phrase
from softswitch.sip.transaction.alarms import Alarm, Alarms
from softswitch.sip.transaction.flow import Flow, Outgoing
from softswitch.sip.transaction.machine import OnResponse, Transaction, sibling_request, via_text
from softswitch.sip.transaction.timers import Timers
from softswitch.sip.transaction.transactions import Transactions

ALLOW = "INVITE, ACK, CANCEL, BYE, INFO, MESSAGE, NOTIFY, OPTIONS, PRACK, REFER, REGISTER, SUBSCRIBE, UPDATE"
SUPPORTED = "100rel, norefersub, replaces, timer"
EXTENSIONS = frozenset(SUPPORTED.split(", "))

OWN_HEADERS = frozenset(
    "via from to call-id cseq contact max-forwards content-length content-type route record-route supported "
    "allow require rseq rack session-expires min-se authorization proxy-authorization".split()
)
"""Headers that the stack writes itself; values given for these names are left out and counted."""

MAX_ENDED_DIALOGS = 4096
"""Ended dialogs remembered, so that a BYE that crosses the agent's own BYE is answered with 200."""

MAX_UDP_REQUEST = 1300
"""Bytes of the largest request sent by UDP when TCP is possible (RFC 3261 section 18.1.1).

Larger datagrams are fragmented, and middleboxes drop fragments.
"""
TCP_RETRY_S = 600.0
"""Seconds for which TCP is not tried again at an address that refused it."""
MAX_ADDRESSES_WITHOUT_TCP = 1024


class AgentContext:
    """Shared state of one user agent."""

    def __init__(
        self,
        entropy: Callable[[int], bytes],
        product: str,
        timers: Timers,
        limits: AgentLimits,
        mark: str = "",
    ) -> None:
        self.entropy = entropy
        self.mark = mark
        self.product = product
        self.timers = timers
        self.limits = limits
        self.counters: Counter[str] = Counter()
        self.alarms = Alarms()
        self.transactions = Transactions(timers, self.alarms, limits.transactions, self.counters)
        self.events: list[CallEvent] = []
        self._recently_ended: OrderedDict[tuple[str, str, str], float] = OrderedDict()
        self._without_tcp: OrderedDict[tuple[str, int], float] = OrderedDict()

    @property
    def now(self) -> float:
        """Time of the call into the agent that is being processed, in monotonic seconds."""
        return self.transactions.now

    def token(self, size: int = 8) -> str:
        """Return the mark of the agent and `size` random bytes as hexadecimal digits."""
        return self.mark + self.entropy(size).hex()

    def random(self) -> float:
        """Return a random number of at least 0 and less than 1."""
        return int.from_bytes(self.entropy(4), "big") / 2**32

    def emit(self, event: CallEvent) -> None:
        """Queue an event for `UserAgent.take_events`."""
        self.events.append(event)

    def count(self, name: str) -> None:
        """Increment the counter of something that was dropped, refused or unexpected."""
        self.counters[name] += 1

    def call_later(self, delay: float, callback: Callable[[], None]) -> Alarm:
        """Set an alarm that calls `callback` in `delay` seconds."""
        return self.alarms.at(self.now + delay, callback)

    # ------------------------------------------------------------------ messages that the agent sends
    def send_request(self, request: Request, flow: Flow, on_response: OnResponse) -> Transaction:
        """Send a request in a new client transaction.

        A request that is too large for UDP goes by TCP where the flow allows it (RFC 3261 section 18.1.1).

        Args:
            request: Complete but for Via and User-Agent.
            flow: Where to send it.
            on_response: Called with each response.
        """
        self._stamp(request, flow)
        wire = bytes(request) if flow.or_tcp and flow.transport == "udp" else b""
        if len(wire) > MAX_UDP_REQUEST:
            if self._without_tcp.get((flow.host, flow.port), 0.0) <= self.now:
                flow = replace(flow, transport="tcp", connection=0)
                self._stamp(request, flow)
                wire = b""
            else:
                self.count("large_by_udp")
        return self.transactions.start_client(request, flow, on_response, wire)

    def remember_no_tcp(self, flow: Flow) -> None:
        """Remember for `TCP_RETRY_S` that an address does not accept TCP."""
        self.count("without_tcp")
        self._without_tcp.pop((flow.host, flow.port), None)
        self._without_tcp[flow.host, flow.port] = self.now + TCP_RETRY_S
        while len(self._without_tcp) > MAX_ADDRESSES_WITHOUT_TCP:
            self._without_tcp.popitem(last=False)

    def send_ack(self, request: Request, flow: Flow) -> Outgoing:
        """Send the ACK of a 2xx, which has no transaction; return it so that it can be sent again."""
        self._stamp(request, flow)
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
        """Return a response to the transaction's request, with additional headers.

        Args:
            transaction: The server transaction.
            code: 100 to 699.
            reason: Reason phrase; "" takes the standard one.
            headers: Headers to add; see `add_headers`.
        """
        response = copy_for_reply(transaction.request, code, reason or phrase(code), transaction.tag)
        self.add_headers(response, headers)
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
        """Send a response without a body; return False if a final response was sent before."""
        if transaction.answered:
            return False
        response = self.response(transaction, code, reason)
        for name, value in (headers or {}).items():
            response.headers.set(name, value)
        return transaction.respond(response)

    def reply_interval_too_small(self, transaction: Transaction) -> None:
        """Refuse a session interval with 422 and the shortest one accepted (RFC 4028 section 6)."""
        response = self.response(transaction, 422)
        response.headers.set("Min-SE", str(self.limits.min_se))
        transaction.respond(response)

    def cancel(self, invite: Transaction, headers: Mapping[str, str] | None = None) -> None:
        """Send a CANCEL for an INVITE that the agent sent; a second call does nothing."""
        if invite.owner == "cancelled":
            return
        invite.owner = "cancelled"
        request = sibling_request(invite.request, "CANCEL")
        self.add_headers(request, headers or {})
        self.transactions.start_client(request, invite.flow, lambda *_: None)

    def add_headers(
        self, message: Request | Response, headers: Mapping[str, str] | Iterable[tuple[str, str]]
    ) -> None:
        """Add an application's headers to a message, without control characters.

        Headers that the stack writes itself (`OWN_HEADERS`) and malformed names are left out and counted.
        """
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        for name, value in pairs:
            if long_name(name).lower() in OWN_HEADERS or not is_token(name):
                self.count("header_refused")
                continue
            message.headers.add(name, clean(value))

    def _stamp(self, request: Request, flow: Flow) -> None:
        """Write Via, with a new branch, and User-Agent."""
        request.headers.set("Via", via_text(flow, MAGIC + self.token(10)))
        if self.product:
            request.headers.set("User-Agent", self.product)

    # ------------------------------------------------------------------ ended dialogs
    def remember_ended(self, dialog: tuple[str, str, str]) -> None:
        """Remember an ended dialog for 64 * T1 (32 s), as long as its requests may be retransmitted."""
        self._recently_ended[dialog] = self.now + 64 * self.timers.t1
        # The oldest entries are first, and all have the same lifetime.
        while (
            len(self._recently_ended) > MAX_ENDED_DIALOGS
            or next(iter(self._recently_ended.values())) <= self.now
        ):
            self._recently_ended.popitem(last=False)

    def recently_ended(self, dialog: tuple[str, str, str]) -> bool:
        """Return whether a dialog ended at most 64 * T1 ago."""
        until = self._recently_ended.get(dialog)
        return until is not None and until > self.now


def clean(value: str) -> str:
    """Return a header value with its control characters replaced by spaces."""
    if value.isprintable():
        return value.strip()
    return "".join(letter if letter >= " " and letter != "\x7f" else " " for letter in value).strip()


def check_party(text: str, field: str) -> None:
    """Check the value of a From or To header that an application gives.

    Raises:
        MalformedError: It is not an address, or it has a tag, which only the stack writes.
    """
    if "tag" in parse_address(text, field).parameters:
        raise MalformedError(400, f"{field} must not have a tag", field=field)


def headers_of(message: Request | Response) -> dict[str, str]:
    """Return the headers of a message by name; several values of one name are joined with commas."""
    return {name: ", ".join(message.headers.getlist(name)) for name in message.headers.keys()}  # noqa: SIM118
