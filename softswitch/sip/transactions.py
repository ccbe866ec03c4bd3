"""All transactions of one user agent: which message belongs to which, and how many there may be."""

from collections import Counter, deque
from collections.abc import Callable

from softswitch.sip.alarms import Alarm, Alarms
from softswitch.sip.flow import Flow, Outgoing
from softswitch.sip.head import Head, client_key, merge_key, read_head, server_key
from softswitch.sip.message import Request
from softswitch.sip.timers import Timers
from softswitch.sip.transaction import Hear, Transaction, reply_flow
from softswitch.sip.transaction_tables import Kind, State


class Transactions:
    """The table of transactions (RFC 3261 section 17).

    Owners are told by `calls`, a queue of calls that the agent empties once a move is made: nothing calls
    back from within a transition.
    """

    def __init__(self, timers: Timers, alarms: Alarms, limit: int, counters: Counter[str]) -> None:
        self.timers = timers
        self.calls: deque[Callable[[], None]] = deque()
        self.outgoing: list[Outgoing] = []
        self.now = 0.0
        self._alarms = alarms
        self._limit = limit
        self._counters = counters
        self._clients: dict[str, Transaction] = {}
        self._servers: dict[str, Transaction] = {}
        self._merged: dict[str, Transaction] = {}

    def __len__(self) -> int:
        return len(self._clients) + len(self._servers)

    @property
    def full(self) -> bool:
        """Return whether no more transaction may begin for a far end."""
        return len(self) >= self._limit

    @property
    def room(self) -> bool:
        """Return whether a request within a call may still begin: BYE and CANCEL make room."""
        return len(self) < 2 * self._limit

    @property
    def waiting(self) -> bool:
        """Return whether a request of ours has no final response yet."""
        return any(not one.answered for one in self._clients.values())

    # ------------------------------------------------------------------ for transactions
    def later(self, call: Callable[[], None]) -> None:
        """Have `call` called after this move."""
        self.calls.append(call)

    def send(self, outgoing: Outgoing) -> None:
        """Queue a message for the transports."""
        self.outgoing.append(outgoing)

    def alarm(self, runs: float, call: Callable[[], None]) -> Alarm:
        """Set an alarm, `runs` seconds from now."""
        return self._alarms.at(self.now + runs, call)

    def count(self, what: str) -> None:
        """Count something that was dropped, absorbed or failed."""
        self._counters[what] += 1

    def forget(self, transaction: Transaction) -> None:
        """Take an ended transaction out of the table."""
        table = self._clients if transaction.client else self._servers
        if table.get(transaction.key) is transaction:
            del table[transaction.key]
        if self._merged.get(transaction.merged) is transaction:
            del self._merged[transaction.merged]

    # ------------------------------------------------------------------ for the agent
    def ask(self, request: Request, flow: Flow, hear: Hear) -> Transaction:
        """Begin a client transaction: send `request` to `flow`, and tell `hear` of responses."""
        kind = Kind.INVITE_CLIENT if request.method == "INVITE" else Kind.CLIENT
        key = client_key(read_head(request))
        transaction = Transaction(self, kind, key, request, flow, hear=hear)
        self._clients[key] = transaction
        transaction.begin()
        return transaction

    def listen(self, head: Head, request: Request, flow: Flow, tag: str) -> Transaction:
        """Begin a server transaction for a request that belongs to none, with our To tag."""
        kind = Kind.INVITE_SERVER if request.method == "INVITE" else Kind.SERVER
        transaction = Transaction(
            self, kind, server_key(head, request), request, reply_flow(request.via[0], flow)
        )
        transaction.tag = head.to_tag or tag
        if not head.to_tag:
            transaction.merged = merge_key(head)
            self._merged[transaction.merged] = transaction
        elif request.method == "INVITE":
            transaction.merged = merge_key(head)
            self._merged.setdefault(transaction.merged, transaction)
        self._servers[transaction.key] = transaction
        transaction.begin()
        return transaction

    def merged(self, head: Head) -> bool:
        """Return whether a request came before by another way (section 8.2.2.2)."""
        return not head.to_tag and merge_key(head) in self._merged

    def server(self, head: Head, request: Request) -> Transaction | None:
        """Return the transaction that a request is a copy of."""
        return self._servers.get(server_key(head, request))

    def invited(self, head: Head, request: Request) -> Transaction | None:
        """Return the INVITE that an ACK or a CANCEL belongs to."""
        found = self._servers.get(server_key(head, request, "INVITE"))
        if found is None and head.method == "ACK":
            # Some phones acknowledge a refusal with a new branch. All but that is as it should be.
            found = self._merged.get(merge_key(head, "INVITE"))
            if found is not None and found.state not in (State.COMPLETED, State.CONFIRMED):
                return None
        return found

    def client(self, head: Head) -> Transaction | None:
        """Return the transaction that a response belongs to."""
        return self._clients.get(client_key(head))

    def refused(self, key: str) -> bool:
        """Take it that a transaction's message cannot be sent; return False for no such transaction."""
        transaction = self._clients.get(key) or self._servers.get(key)
        if transaction is None:
            return False
        transaction.fire("error")
        return True

    def broken(self, flow: Flow) -> None:
        """Take it that a connection, or the way to an address, is gone: what waits on it waits in vain."""
        for transaction in [*self._clients.values(), *self._servers.values()]:
            if _same_way(transaction.flow, flow):
                transaction.fire("error")

    def run(self) -> None:
        """Tell owners what happened, until nothing happens any more."""
        while self.calls:
            self.calls.popleft()()


def _same_way(one: Flow, other: Flow) -> bool:
    if one.transport != other.transport:
        return False
    if other.connection:
        return one.connection == other.connection
    return (one.host, one.port) == (other.host, other.port)
