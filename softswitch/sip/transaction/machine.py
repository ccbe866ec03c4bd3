"""One transaction: executes the state tables of `tables`, runs its timers and calls its owner."""

from collections.abc import Callable
from functools import partial
from typing import Protocol, assert_never

from sipmessage import Via

from softswitch.sip.syntax.message import Request, Response, copy_for_reply, parse
from softswitch.sip.transaction.alarms import Alarm
from softswitch.sip.transaction.flow import Flow, Outgoing
from softswitch.sip.transaction.tables import (
    FIRST_STATE,
    RUNNING,
    TABLES,
    UNRELIABLE_ONLY,
    Act,
    Kind,
    State,
)
from softswitch.sip.transaction.timers import Timers

OnResponse = Callable[["Transaction", Response, bool], None]
"""Callback for the responses to a client transaction; the flag says that the stack made the response."""


class TransactionTable(Protocol):
    """The part of the transaction table that a transaction uses."""

    timers: Timers

    def after_transition(self, callback: Callable[[], None]) -> None:
        """Queue a callback to run once the current transition is complete."""

    def send(self, outgoing: Outgoing) -> None:
        """Queue a message for the transports."""

    def set_alarm(self, delay: float, callback: Callable[[], None]) -> Alarm:
        """Set an alarm that calls `callback` in `delay` seconds."""
        ...

    def count(self, name: str) -> None:
        """Increment the counter of something that was dropped or absorbed, or that failed."""

    def remove(self, transaction: "Transaction") -> None:
        """Remove a terminated transaction."""


class Transaction:
    """A request, its responses, and the timers that retransmit them.

    A transaction stays for 32 s after its final response, to absorb copies. Answered transactions far
    outnumber those under way, so an answered one keeps only the bytes that it would send again, not the
    parsed messages.
    """

    __slots__ = (
        "_last",
        "_request",
        "_table",
        "_timers",
        "flow",
        "key",
        "kind",
        "merge_key",
        "on_response",
        "owner",
        "response",
        "state",
        "tag",
        "transactions",
        "wire",
    )

    def __init__(
        self,
        transactions: TransactionTable,
        kind: Kind,
        key: str,
        request: Request,
        flow: Flow,
        *,
        on_response: OnResponse | None = None,
    ) -> None:
        self.transactions = transactions
        self.kind = kind
        self.key = key
        self._request: Request | None = request
        self.flow = flow
        """Where the request (client) or the responses (server) go."""
        self.on_response = on_response
        self.state = FIRST_STATE[kind]
        self.response: Response | None = None
        """Last response received (client)."""
        self.wire = b""
        """Bytes that `Act.SEND` and `Act.ACK` send."""
        self.tag = ""
        """To tag of the responses (server)."""
        self.merge_key = ""
        """Key under which copies by other paths are found (server)."""
        self.owner = ""
        """Id of the session that the transaction belongs to (server)."""
        self._table = TABLES[kind]
        self._timers: dict[str, Alarm] = {}
        self._last: dict[str, float] = {}

    @property
    def request(self) -> Request:
        """The request; an answered server transaction no longer has it."""
        if self._request is None:
            sent = parse(self.wire)
            if not isinstance(sent, Request):
                raise RuntimeError("the request was answered and is no longer kept")
            return sent
        return self._request

    @property
    def client(self) -> bool:
        """Whether the agent sent the request."""
        return self.kind in (Kind.CLIENT, Kind.INVITE_CLIENT)

    @property
    def answered(self) -> bool:
        """Whether a final response was received (client) or sent (server)."""
        return self.state not in (State.CALLING, State.TRYING, State.PROCEEDING)

    def begin(self) -> None:
        """Send the request (client) and start the timers of the first state."""
        if self.client:
            self.wire = self.wire or bytes(self.request)
            self._send()
        self._run_timers()

    def respond(self, response: Response) -> bool:
        """Send a response (server); return False if a final response was sent before."""
        event = _class_of(response)
        if (self.state, event) not in self._table:
            return False
        self.wire = bytes(response)
        self.fire(event)
        return True

    def receive(self, response: Response) -> None:
        """Handle a response (client)."""
        event = _class_of(response)
        if (self.state, event) in self._table:
            if self.state is not State.COMPLETED:
                self.response = response
            self.fire(event)

    def fire(self, event: str) -> None:
        """Make the transition that the table has for `event`; an event it does not have is counted.

        Args:
            event: As `tables` names them.
        """
        move = self._table.get((self.state, event))
        if move is None:
            self.transactions.count("absorbed")
            return
        before, (self.state, acts) = self.state, move
        for act in acts:
            self._do(act, event)
        if self.state is not before:
            self._release()
            self._run_timers()

    def end(self) -> None:
        """Terminate at once."""
        self.state = State.TERMINATED
        self._release()
        self._run_timers()

    def stop_sending(self) -> None:
        """Stop retransmitting but keep receiving responses: the owner tries another server now."""
        for letter in UNRELIABLE_ONLY:
            if letter in self._timers:
                self._timers.pop(letter).stop()

    def _release(self) -> None:
        """Drop what an answered transaction does not need.

        The callback of an accepted INVITE stays, for further 2xx responses.
        """
        if not self.answered:
            return
        self.response = None
        if self.state is not State.ACCEPTED:
            self.on_response = None
        if self.kind is Kind.INVITE_CLIENT and self.state is State.ACCEPTED:
            # The owner's callback, which runs next, still reads the request.
            self.transactions.after_transition(self._drop_request)
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
            case Act.UP:
                if self.response is not None:
                    self._notify(self.response, synthetic=False)
            case Act.TIMEOUT:
                self.transactions.count("timeout")
                self._notify(copy_for_reply(self.request, 408, "Request Timeout"), synthetic=True)
            case Act.ERROR:
                self.transactions.count("transport_error")
                self._notify(copy_for_reply(self.request, 503, "Service Unavailable"), synthetic=True)
            case _:
                assert_never(act)

    def _notify(self, response: Response, *, synthetic: bool) -> None:
        on_response = self.on_response
        if on_response is not None:
            self.transactions.after_transition(lambda: on_response(self, response, synthetic))

    def _send(self) -> None:
        if self.wire:
            self.transactions.send(Outgoing(self.wire, self.flow, self.key))

    def _acknowledge(self) -> None:
        """Send the ACK of a 300-699 response, with branch, Route and Request-URI of the INVITE (17.1.1.3)."""
        if self.response is not None:
            ack = sibling_request(self.request, "ACK")
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
            seconds = self.transactions.timers.first(letter, reliable=reliable)
            if seconds == 0.0:
                # A reliable transport delivers no copies: the state ends at once.
                self.fire(letter)
                return
            self._start(letter, seconds)
        if self.state is State.TERMINATED:
            self.transactions.remove(self)

    def _start(self, letter: str, seconds: float) -> None:
        self._last[letter] = seconds
        self._timers[letter] = self.transactions.set_alarm(seconds, partial(self.fire, letter))


def sibling_request(request: Request, method: str) -> Request:
    """Return the ACK or CANCEL of an INVITE, with its branch and route (sections 9.1, 17.1.1.3)."""
    other = Request(method, request.uri)
    headers = request.headers
    other.headers.set("Via", headers.getlist("Via")[0])
    if "Route" in headers:
        other.headers.setlist("Route", headers.getlist("Route"))
    for name in ("Max-Forwards", "From", "To", "Call-ID"):
        other.headers.set(name, headers.get(name) or "")
    other.headers.set("CSeq", f"{request.cseq.sequence} {method}")
    for name in ("Authorization", "Proxy-Authorization"):
        # A proxy that challenges the INVITE needs the credentials in the ACK too, which it cannot challenge
        # (22.1).
        if method == "ACK" and name in headers:
            other.headers.setlist(name, headers.getlist(name))
    return other


def via_text(flow: Flow, branch: str) -> str:
    """Return the Via of a request that is sent on `flow`."""
    host = f"[{flow.local_host}]" if ":" in flow.local_host else flow.local_host
    port = f":{flow.local_port}" if flow.local_port else ""
    return f"SIP/2.0/{flow.transport.upper()} {host or 'softswitch.invalid'}{port};branch={branch};rport"


def reply_flow(via: Via, flow: Flow) -> Flow:
    """Return the flow for the responses to a request (RFC 3261 section 18.2.2).

    By UDP, responses go to the source address and to the port that Via names, or to the source port if Via
    has rport (RFC 3581). A Via with another address than the source comes from behind a NAT, where only the
    source port is open.

    Args:
        via: Topmost Via of the request.
        flow: Where the request came from.
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
