"""One request over all the transactions that it takes: challenges answered, the next server tried.

Fail-over follows RFC 3263 section 4.3, challenges RFC 3261 section 22.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from softswitch.sip.context import AgentContext
from softswitch.sip.security.proof import Proof
from softswitch.sip.syntax.message import Request, Response
from softswitch.sip.syntax.uri import URI
from softswitch.sip.transaction.alarms import Alarm
from softswitch.sip.transaction.flow import Flow
from softswitch.sip.transaction.machine import OnResponse, Transaction


class Target(NamedTuple):
    """Server that a request can be sent to."""

    flow: Flow
    uri: URI | None = None
    """Request-URI of an INVITE, None for the request's own."""


Build = Callable[[Target | None], tuple[Request, Flow]]
"""Builds the request, with a new CSeq number, for a target (None within a dialog)."""


class Exchange:
    """A request of the agent, over as many transactions as its outcome takes."""

    def __init__(
        self,
        context: AgentContext,
        build: Build,
        on_response: Callable[["Exchange", Response, bool], None],
        proof: Proof,
        targets: Iterable[Target] = (),
    ) -> None:
        """Create an exchange; `start` sends the request.

        Args:
            context: Shared state of the agent.
            build: Builds the request.
            on_response: Called with each provisional response, with the final response that decides, and with
                each further 2xx. The flag says that the stack made the response (408, 503).
            proof: Answers challenges.
            targets: Servers to try in turn; none within a dialog.
        """
        self.context = context
        self.transaction: Transaction | None = None
        self.closed = False
        """Whether the request must not be sent again: the call is cancelled."""
        self.on_stray: Callable[[Transaction, Response], None] | None = None
        """Called with a response of 101 to 299 to an attempt that was given up: a phone rings there."""
        self._build = build
        self._on_response = on_response
        self._proof = proof
        self._targets = deque(targets)
        self._target: Target | None = None
        self._answered: set[tuple[str, str]] = set()
        """Header and realm of the challenges that this server's attempts answered."""
        self._challenges = 0
        self._heard = False
        self._silence: Alarm | None = None

    @property
    def request(self) -> Request:
        """The request as it was sent last."""
        if self.transaction is None:
            raise RuntimeError("the exchange has not begun")
        return self.transaction.request

    @property
    def flow(self) -> Flow:
        """The flow that the request was sent on last."""
        if self.transaction is None:
            raise RuntimeError("the exchange has not begun")
        return self.transaction.flow

    @property
    def heard(self) -> bool:
        """Whether a provisional response to the last attempt came."""
        return self._heard

    def start(self, targets: Iterable[Target] = ()) -> None:
        """Send the request to the first target.

        Args:
            targets: Replace the targets that are left, unless empty.
        """
        targets = list(targets)
        if targets:
            self._targets = deque(targets)
        self._target = self._targets.popleft() if self._targets else None
        self._send()

    def hand_over(self, on_response: OnResponse) -> None:
        """Pass further 2xx responses, which can arrive for 32 s, to `on_response` instead of this exchange.

        The transaction then keeps neither this exchange nor its call in memory.
        """
        if self.transaction is not None:
            self.transaction.on_response = on_response

    def send_again(self) -> None:
        """Build the request anew and send it to the last target."""
        self._send()

    def _send(self) -> None:
        request, flow = self._build(self._target)
        self._proof.attach(request)
        self._heard = False
        self._stop_waiting()
        if self._targets:
            self._silence = self.context.call_later(self.context.limits.failover_s, self._pass_over)
        self.transaction = self.context.send_request(request, flow, self._receive)

    def _receive(self, transaction: Transaction, response: Response, synthetic: bool) -> None:
        if transaction is not self.transaction:
            self.context.count("late_response")
            if 100 < response.code < 300 and self.on_stray is not None:
                self.on_stray(transaction, response)
            return
        if response.code < 200:
            self._heard = True
            self._stop_waiting()
        elif not self.closed and self._retried(response, synthetic=synthetic):
            return
        self._stop_waiting()
        self._on_response(self, response, synthetic)

    def _retried(self, response: Response, *, synthetic: bool) -> bool:
        """Send the request again if the final response permits it; return whether it was sent."""
        if synthetic and self.flow.or_tcp and self.flow.transport == "tcp":
            self.context.remember_no_tcp(self.flow)
            if response.code == 503:
                self._send()
                return True
        if response.code in (401, 407) and self._challenges < self.context.limits.challenges:
            self._challenges += 1
            if self._proof.learn(response, self._answered):
                self._send()
                return True
        if self._targets and (response.code == 503 or synthetic):
            self._try_next()
            return True
        return False

    def _pass_over(self) -> None:
        """Try the next server because the last one is silent."""
        self._silence = None
        if not self._heard and self._targets and not self.closed:
            self.context.count("failover")
            if self.transaction is not None:
                self.transaction.stop_sending()
            self._try_next()

    def _try_next(self) -> None:
        self._target = self._targets.popleft()
        self._answered.clear()
        self._send()

    def _stop_waiting(self) -> None:
        if self._silence is not None:
            self._silence.stop()
            self._silence = None
