"""One transaction: the tables of `transaction_tables`, carried out."""

from collections.abc import Callable
from functools import partial
from typing import Protocol

from sipmessage import Via

from softswitch.sip.alarms import Alarm
from softswitch.sip.flow import Flow, Outgoing
from softswitch.sip.message import Request, Response, copy_for_reply, parse
from softswitch.sip.timers import Timers
from softswitch.sip.transaction_tables import (
    FIRST_STATE,
    RUNNING,
    TABLES,
    UNRELIABLE_ONLY,
    Act,
    Kind,
    State,
)

Hear = Callable[["Transaction", Response, bool], None]
"""How the owner of a client transaction hears of a response; the flag tells that it is made up."""


class Keeper(Protocol):
    """What a transaction needs of the table it stands in."""

    timers: Timers

    def later(self, call: Callable[[], None]) -> None:
        """Have `call` called after this move."""

    def send(self, outgoing: Outgoing) -> None:
        """Queue a message for the transports."""

    def alarm(self, runs: float, call: Callable[[], None]) -> Alarm:
        """Set an alarm, `runs` seconds from now."""
        ...

    def count(self, what: str) -> None:
        """Count something that was dropped, absorbed or failed."""

    def forget(self, transaction: "Transaction") -> None:
        """Take an ended transaction out."""


class Transaction:
    """A request, its responses, and the timers that send both again.

    Half a minute of them is kept for copies that may still come, so that is a hundred times those under way:
    of one that is answered, what was sent stays, and the messages themselves are let go.
    """

    __slots__ = (
        "_last",
        "_request",
        "_table",
        "_timers",
        "flow",
        "hear",
        "key",
        "kind",
        "merged",
        "owner",
        "response",
        "state",
        "tag",
        "transactions",
        "wire",
    )

    def __init__(
        self,
        transactions: Keeper,
        kind: Kind,
        key: str,
        request: Request,
        flow: Flow,
        *,
        hear: Hear | None = None,
    ) -> None:
        self.transactions = transactions
        self.kind = kind
        self.key = key
        self._request: Request | None = request
        self.flow = flow
        """Where the request goes to (client), or the responses (server)."""
        self.hear = hear
        self.state = FIRST_STATE[kind]
        self.response: Response | None = None
        """The last response that came (client)."""
        self.wire = b""
        """What SEND and ACK send."""
        self.tag = ""
        """Our To tag (server)."""
        self.merged = ""
        self.owner = ""
        """Session the transaction belongs to (server)."""
        self._table = TABLES[kind]
        self._timers: dict[str, Alarm] = {}
        self._last: dict[str, float] = {}

    @property
    def request(self) -> Request:
        """Return the request: the far end's until it is answered, ours for as long as it may matter."""
        if self._request is None:
            sent = parse(self.wire)
            if not isinstance(sent, Request):
                raise RuntimeError("the request was answered, and let go")
            return sent
        return self._request

    @property
    def client(self) -> bool:
        """Return whether the request is ours."""
        return self.kind in (Kind.CLIENT, Kind.INVITE_CLIENT)

    @property
    def answered(self) -> bool:
        """Return whether a final response came or went."""
        return self.state not in (State.CALLING, State.TRYING, State.PROCEEDING)

    def begin(self) -> None:
        """Send the request (client) and start the timers of the first state."""
        if self.client:
            self.wire = bytes(self.request)
            self._send()
        self._run_timers()

    def respond(self, response: Response) -> bool:
        """Send a response (server); return False where a final one went out before."""
        event = _class_of(response)
        if (self.state, event) not in self._table:
            return False
        self.wire = bytes(response)
        self.fire(event)
        return True

    def receive(self, response: Response) -> None:
        """Take a response (client)."""
        event = _class_of(response)
        if (self.state, event) in self._table:
            if self.state is not State.COMPLETED:
                self.response = response
            self.fire(event)

    def fire(self, event: str) -> None:
        """Make the move that the table has for `event`, if it has one."""
        move = self._table.get((self.state, event))
        if move is None:
            self.transactions.count("absorbed")
            return
        before, (self.state, acts) = self.state, move
        for act in acts:
            self._do(act, event)
        if self.state is not before:
            self._let_go()
            self._run_timers()

    def end(self) -> None:
        """Stop at once."""
        self.state = State.TERMINATED
        self._let_go()
        self._run_timers()

    def hush(self) -> None:
        """Send no more copies, and still listen: the owner asks somebody else now."""
        for letter in UNRELIABLE_ONLY:
            if letter in self._timers:
                self._timers.pop(letter).stop()

    def _let_go(self) -> None:
        """Drop what nothing asks for any more; the owner of an INVITE hears of further 2xx to the end."""
        if not self.answered:
            return
        self.response = None
        if self.state is not State.ACCEPTED:
            self.hear = None
        if self.kind is Kind.INVITE_CLIENT and self.state is State.ACCEPTED:
            # Its owner, who is told next, reads it once more.
            self.transactions.later(self._drop_request)
        else:
            self._request = None

    def _drop_request(self) -> None:
        self._request = None

    def _do(self, act: Act, event: str) -> None:
        match act:
            case Act.SEND:
                self._send()
            case Act.LONGER:
                self._start(event, self.transactions.timers.next(event, self._last[event]))
            case Act.SLOWEST:
                self._start(event, self.transactions.timers.t2)
            case Act.ACK:
                self._acknowledge()
            case Act.UP if self.response is not None:
                self._tell(self.response, made_up=False)
            case Act.TIMEOUT:
                self.transactions.count("timeout")
                self._tell(copy_for_reply(self.request, 408, "Request Timeout"), made_up=True)
            case Act.ERROR:
                self.transactions.count("transport_error")
                self._tell(copy_for_reply(self.request, 503, "Service Unavailable"), made_up=True)

    def _tell(self, response: Response, *, made_up: bool) -> None:
        hear = self.hear
        if hear is not None:
            self.transactions.later(lambda: hear(self, response, made_up))

    def _send(self) -> None:
        if self.wire:
            self.transactions.send(Outgoing(self.wire, self.flow, self.key))

    def _acknowledge(self) -> None:
        """Acknowledge a refusal: same branch, Route and Request-URI as the INVITE (section 17.1.1.3)."""
        if self.response is not None:
            ack = beside(self.request, "ACK")
            ack.headers.set("To", self.response.headers["To"])
            self.wire = bytes(ack)
        self._send()

    def _run_timers(self) -> None:
        wanted = RUNNING.get((self.kind, self.state), "")
        for letter in [letter for letter in self._timers if letter not in wanted]:
            self._timers.pop(letter).stop()
        reliable = self.flow.reliable
        for letter in wanted:
            if letter in self._timers or (reliable and letter in UNRELIABLE_ONLY):
                continue
            runs = self.transactions.timers.first(letter, reliable=reliable)
            if runs == 0.0:
                self.fire(letter)
                return
            self._start(letter, runs)
        if self.state is State.TERMINATED:
            self.transactions.forget(self)

    def _start(self, letter: str, runs: float) -> None:
        self._last[letter] = runs
        self._timers[letter] = self.transactions.alarm(runs, partial(self.fire, letter))


def beside(request: Request, method: str) -> Request:
    """Make the ACK or CANCEL that goes the way of an INVITE, on its branch (sections 9.1, 17.1.1.3)."""
    other = Request(method, request.uri)
    headers = request.headers
    other.headers.set("Via", headers.getlist("Via")[0])
    if "Route" in headers:
        other.headers.setlist("Route", headers.getlist("Route"))
    for name in ("Max-Forwards", "From", "To", "Call-ID"):
        other.headers.set(name, headers.get(name) or "")
    other.headers.set("CSeq", f"{request.cseq.sequence} {method}")
    for name in ("Authorization", "Proxy-Authorization"):
        # A proxy that wants proof of an INVITE wants it of the ACK too, which it cannot challenge (22.1).
        if method == "ACK" and name in headers:
            other.headers.setlist(name, headers.getlist(name))
    return other


def via_text(flow: Flow, branch: str) -> str:
    """Write our Via for a request that goes out on `flow`."""
    host = f"[{flow.local_host}]" if ":" in flow.local_host else flow.local_host
    port = f":{flow.local_port}" if flow.local_port else ""
    return f"SIP/2.0/{flow.transport.upper()} {host or 'softswitch.invalid'}{port};branch={branch};rport"


def reply_flow(via: Via, flow: Flow) -> Flow:
    """Return where responses go to that belong to a request with that topmost Via (RFC 3261 section 18.2.2).

    On a datagram transport that is the source, with the port of Via unless rport asks for the source's
    (RFC 3581); a Via that names another address comes from behind a NAT, where only the source's port is
    open.
    """
    if flow.reliable or "rport" in via.parameters or via.host.strip("[]").lower() != flow.host.lower():
        return flow
    port = via.port or 5060
    if port == flow.port:
        return flow
    return Flow(flow.transport, flow.host, port, flow.connection, flow.local_host, flow.local_port)


def _class_of(response: Response) -> str:
    if response.code < 200:
        return "1xx"
    return "2xx" if response.code < 300 else "fail"
