"""Table of the transactions of one user agent: which message belongs to which, and how many there may be."""

from collections import Counter, deque
from collections.abc import Callable

from softswitch.sip.syntax.head import Head, client_key, merge_key, read_head, server_key
from softswitch.sip.syntax.message import Request
from softswitch.sip.transaction.alarms import Alarm, Alarms
from softswitch.sip.transaction.flow import Flow, Outgoing
from softswitch.sip.transaction.machine import OnResponse, Transaction, reply_flow
from softswitch.sip.transaction.tables import Kind, State
from softswitch.sip.transaction.timers import Timers


class Transactions:
    """Transactions of one user agent (RFC 3261 section 17).

    The callbacks of owners are queued, and `run_callbacks` runs them once a transition is complete: no
    callback runs within a transition.
    """

    def __init__(self, timers: Timers, alarms: Alarms, limit: int, counters: Counter[str]) -> None:
        self.timers = timers
        self.outgoing: list[Outgoing] = []
        self.now = 0.0
        self._callbacks: deque[Callable[[], None]] = deque()
        self._alarms = alarms
        self._limit = limit
        self._counters = counters
        self._clients: dict[str, Transaction] = {}
        self._servers: dict[str, Transaction] = {}
        self._merged: dict[str, Transaction] = {}
        """Server transactions by their merge key."""

    def __len__(self) -> int:
        return len(self._clients) + len(self._servers)

    @property
    def full(self) -> bool:
        """Whether the limit for new requests of peers is reached."""
        return len(self) >= self._limit

    @property
    def has_reserve(self) -> bool:
        """Whether a request within a call may still begin.

        Twice the limit is allowed for those, since BYE and CANCEL are what brings the number down.
        """
        return len(self) < 2 * self._limit

    @property
    def waiting(self) -> bool:
        """Whether a client transaction has no final response yet."""
        return any(not one.answered for one in self._clients.values())

    # ------------------------------------------------------------------ for transactions
    def after_transition(self, callback: Callable[[], None]) -> None:
        """Queue a callback to run once the current transition is complete."""
        self._callbacks.append(callback)

    def send(self, outgoing: Outgoing) -> None:
        """Queue a message for the transports."""
        self.outgoing.append(outgoing)

    def set_alarm(self, delay: float, callback: Callable[[], None]) -> Alarm:
        """Set an alarm that calls `callback` in `delay` seconds."""
        return self._alarms.at(self.now + delay, callback)

    def count(self, name: str) -> None:
        """Increment the counter of something that was dropped or absorbed, or that failed."""
        self._counters[name] += 1

    def remove(self, transaction: Transaction) -> None:
        """Remove a terminated transaction."""
        table = self._clients if transaction.client else self._servers
        if table.get(transaction.key) is transaction:
            del table[transaction.key]
        if self._merged.get(transaction.merge_key) is transaction:
            del self._merged[transaction.merge_key]

    # ------------------------------------------------------------------ for the agent
    def start_client(
        self, request: Request, flow: Flow, on_response: OnResponse, wire: bytes = b""
    ) -> Transaction:
        """Begin a client transaction.

        Args:
            request: The request.
            flow: Where to send it.
            on_response: Called with each response.
            wire: The request as it is sent, where that is known.
        """
        kind = Kind.INVITE_CLIENT if request.method == "INVITE" else Kind.CLIENT
        key = client_key(read_head(request))
        transaction = Transaction(self, kind, key, request, flow, on_response=on_response)
        transaction.wire = wire
        self._clients[key] = transaction
        transaction.begin()
        return transaction

    def take_client(self, transaction: Transaction, state: State) -> None:
        """Enter a client transaction whose request another agent has sent; it lasts 64 * T1 at most.

        Args:
            transaction: The transaction.
            state: State that it is in.
        """
        transaction.state = state
        self._clients[transaction.key] = transaction
        self.set_alarm(64 * self.timers.t1, transaction.end)

    def start_server(self, head: Head, request: Request, flow: Flow, tag: str) -> Transaction:
        """Begin a server transaction for a request that belongs to none.

        Args:
            head: Identifiers of the request.
            request: The request.
            flow: Where it came from.
            tag: To tag of the responses, unless the request has one.
        """
        kind = Kind.INVITE_SERVER if request.method == "INVITE" else Kind.SERVER
        transaction = Transaction(
            self, kind, server_key(head, request), request, reply_flow(request.top_via, flow)
        )
        transaction.tag = head.to_tag or tag
        if not head.to_tag:
            transaction.merge_key = merge_key(head)
            self._merged[transaction.merge_key] = transaction
        elif request.method == "INVITE":
            # A re-INVITE is entered for `invite_of`; `is_merged` looks at requests outside a dialog only.
            transaction.merge_key = merge_key(head)
            self._merged.setdefault(transaction.merge_key, transaction)
        self._servers[transaction.key] = transaction
        transaction.begin()
        return transaction

    def is_merged(self, head: Head) -> bool:
        """Return whether a request has come before by another path (section 8.2.2.2)."""
        return not head.to_tag and merge_key(head) in self._merged

    def server(self, head: Head, request: Request) -> Transaction | None:
        """Return the server transaction that a request is a copy of."""
        return self._servers.get(server_key(head, request))

    def holds(self, key: str) -> bool:
        """Return whether there is a server transaction with this key."""
        return key in self._servers

    def invite_of(self, head: Head, request: Request) -> Transaction | None:
        """Return the server transaction of the INVITE that an ACK or a CANCEL belongs to."""
        found = self._servers.get(server_key(head, request, "INVITE"))
        if found is None and head.method == "ACK":
            # Some phones send the ACK of a 300-699 response with a new branch; the rest of it is correct.
            found = self._merged.get(merge_key(head, "INVITE"))
            if found is not None and found.state not in (State.COMPLETED, State.CONFIRMED):
                return None
        return found

    def client(self, head: Head) -> Transaction | None:
        """Return the client transaction that a response belongs to."""
        return self._clients.get(client_key(head))

    def send_failed(self, key: str) -> bool:
        """Report that a transaction's message cannot be sent; return False for an unknown key."""
        transaction = self._clients.get(key) or self._servers.get(key)
        if transaction is None:
            return False
        transaction.fire("error")
        return True

    def flow_failed(self, flow: Flow) -> None:
        """Report that a connection broke or an address is unreachable: its transactions end."""
        for transaction in [*self._clients.values(), *self._servers.values()]:
            if _uses(transaction.flow, flow):
                transaction.fire("error")

    def run_callbacks(self) -> None:
        """Run the queued callbacks, including those that they queue."""
        while self._callbacks:
            self._callbacks.popleft()()


def _uses(flow: Flow, failed: Flow) -> bool:
    """Return whether `flow` runs over the connection of `failed`, or to its address if it has none."""
    if flow.transport != failed.transport:
        return False
    if failed.connection:
        return flow.connection == failed.connection
    return (flow.host, flow.port) == (failed.host, failed.port)
