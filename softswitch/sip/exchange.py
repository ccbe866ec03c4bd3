"""A request of ours until it is decided: challenges answered, the next server tried (RFC 3263 4.3)."""

from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from softswitch.sip.alarms import Alarm
from softswitch.sip.core import Core
from softswitch.sip.flow import Flow
from softswitch.sip.message import Request, Response
from softswitch.sip.proof import Proof
from softswitch.sip.transaction import Hear, Transaction
from softswitch.sip.uri import URI


class Target(NamedTuple):
    """Where a request may go."""

    flow: Flow
    uri: URI | None = None
    """Request-URI to use there, None for the request's own (a redirection names another)."""


Draft = Callable[[Target | None], tuple[Request, Flow]]
"""Builds the request anew, with a CSeq of its own, for a target; None within a dialog."""


class Exchange:
    """A request of ours over as many transactions as its decision takes."""

    def __init__(
        self,
        core: Core,
        draft: Draft,
        hear: Callable[["Exchange", Response, bool], None],
        proof: Proof,
        targets: Iterable[Target] = (),
    ) -> None:
        """Make an exchange that begins with `start`.

        Args:
            core: Shared state.
            draft: Builds the request.
            hear: Told of every provisional response, of the final one that decides, and of every further 2xx.
            proof: Answers challenges.
            targets: Where to go in turn; none within a dialog.
        """
        self.core = core
        self.transaction: Transaction | None = None
        self.closed = False
        """Whether to try no more: a cancelled call."""
        self._draft = draft
        self._hear = hear
        self._proof = proof
        self._targets = deque(targets)
        self._target: Target | None = None
        self._answered: set[tuple[str, str]] = set()
        self._challenges = 0
        self._heard = False
        self._silence: Alarm | None = None
        self.stray: Callable[[Transaction, Response], None] | None = None
        """Told of 101 to 299 to an attempt that was given up: somebody rings there after all."""

    @property
    def request(self) -> Request:
        """Return the request as it was sent last."""
        if self.transaction is None:
            raise RuntimeError("the exchange has not begun")
        return self.transaction.request

    @property
    def flow(self) -> Flow:
        """Return where it was sent last."""
        if self.transaction is None:
            raise RuntimeError("the exchange has not begun")
        return self.transaction.flow

    @property
    def heard(self) -> bool:
        """Return whether a provisional response came to the last attempt."""
        return self._heard

    def start(self, targets: Iterable[Target] = ()) -> None:
        """Send the request to the first target, or to the first of `targets` in place of those left."""
        targets = list(targets)
        if targets:
            self._targets = deque(targets)
        self._target = self._targets.popleft() if self._targets else None
        self._send()

    def settle(self, hear: Hear) -> None:
        """Let somebody else hear of further 2xx, who is smaller: they may come for half a minute."""
        if self.transaction is not None:
            self.transaction.hear = hear

    def again(self) -> None:
        """Send the request anew to where it went last."""
        self._send()

    def _send(self) -> None:
        request, flow = self._draft(self._target)
        self._proof.attach(request)
        self._heard = False
        self._quiet()
        if self._targets:
            self._silence = self.core.later(self.core.limits.failover_s, self._pass_over)
        self.transaction = self.core.ask(request, flow, self._take)

    def _take(self, transaction: Transaction, response: Response, made_up: bool) -> None:
        if transaction is not self.transaction:
            self.core.count("late_response")
            if 100 < response.code < 300 and self.stray is not None:
                self.stray(transaction, response)
            return
        if response.code < 200:
            self._heard = True
            self._quiet()
        elif not self.closed and self._retried(response, made_up=made_up):
            return
        self._quiet()
        self._hear(self, response, made_up)

    def _retried(self, response: Response, *, made_up: bool) -> bool:
        if made_up and self.flow.or_tcp and self.flow.transport == "tcp":
            self.core.took_no_tcp(self.flow)
            if response.code == 503:
                self.again()
                return True
        if response.code in (401, 407) and self._challenges < self.core.limits.challenges:
            self._challenges += 1
            if self._proof.learn(response, self._answered):
                self._send()
                return True
        if self._targets and (response.code == 503 or made_up):
            self._next()
            return True
        return False

    def _pass_over(self) -> None:
        """Give a silent server up, while the next one is there to be asked."""
        self._silence = None
        if not self._heard and self._targets and not self.closed:
            self.core.count("failover")
            if self.transaction is not None:
                self.transaction.hush()
            self._next()

    def _next(self) -> None:
        self._target = self._targets.popleft()
        self._answered.clear()
        self._send()

    def _quiet(self) -> None:
        if self._silence is not None:
            self._silence.stop()
            self._silence = None
