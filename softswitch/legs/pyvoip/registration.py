"""Registration of one pyVoIP trunk: pyVoIP writes the requests, this module times and repeats them.

pyVoIP waits for each response with its lock held, assumes a lifetime of 120 s, supports neither 407 nor 423,
mistakes a call for the response to its REGISTER, and gives up for good after three failures.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from secrets import SystemRandom
from typing import Literal, Protocol

from softswitch.legs.pyvoip.account import Account, Address
from softswitch.sip.syntax import message
from softswitch.sip.syntax.message import Request, Response

FIRST_RETRY_S = 5.0
LAST_RETRY_S = 300.0
PING_S = 20.0
"""Period of NAT keep-alives to the registrar, in seconds."""
MOST_PROOFS = 2
"""Attempts with credentials for one request: a second one where the nonce of the first was stale."""
_EARLY = 0.85
"""Share of the granted lifetime after which the registration is renewed."""
_SHORTEST_S = 30

State = Literal["registered", "registering", "failed", "unregistered", "ready"]


@dataclass(frozen=True, slots=True)
class Standing:
    """State of a registration; replaced as a whole, so that any thread may read it."""

    state: State
    code: int = 0
    reason: str = ""
    expires_s: int = 0
    retry_at: float = 0.0


class Registrant(Protocol):
    """What a registration needs of its client."""

    account: Account

    def ask(
        self,
        request: Request,
        to: Address,
        answered: Callable[[Response, Address], None],
        given_up: Callable[[], None],
    ) -> str:
        """Send a request until it is answered."""

    def send(self, data: bytes, to: Address) -> None:
        """Send a datagram."""

    def gen_first_response(self, deregister: bool = False) -> str:
        """Return the text of a REGISTER."""

    def gen_call_id(self) -> str:
        """Return a new Call-ID."""

    def contact(self) -> str:
        """Return our own address."""

    def prove(self, request: Request, response: Response) -> Request | None:
        """Return a refused request with the proof that was asked for."""


class Registration:
    """The registration of one telephone: renewed, failed over, retried and ended."""

    def __init__(self, client: Registrant, clock: Callable[[], float] = time.monotonic) -> None:
        """Prepare; `begin` comes next."""
        self._client = client
        self._clock = clock
        self._call_id = ""
        self._expires = client.account.expires
        self._failures = self._sequence = 0
        self._leaving = False
        self._random = SystemRandom()
        self.server = 0
        """Index of the account's server in use."""
        self.standing = Standing("unregistered" if client.account.register else "ready")
        self._refresh_at = self._ping_at = math.inf

    @property
    def target(self) -> Address:
        """Return the address of the server in use."""
        return self._client.account.servers[self.server]

    @property
    def due(self) -> float:
        """Return the monotonic time at which :meth:`elapse` is next needed."""
        return min(self._refresh_at, self._ping_at)

    def begin(self) -> None:
        """Register at the next :meth:`elapse`."""
        self._call_id = self._client.gen_call_id()
        self.standing, self._refresh_at = Standing("registering"), self._clock()

    def elapse(self, now: float) -> None:
        """Send what is due at `now`: a REGISTER, or a keep-alive."""
        if now >= self._ping_at:
            self._ping_at = now + PING_S
            self._client.send(b"\r\n\r\n", self.target)
        if now >= self._refresh_at:
            # The retry time, should the request fail before it is sent; its response sets another one.
            self._refresh_at = now + LAST_RETRY_S
            self._send()

    def renew(self) -> None:
        """Register at once: the local address has changed."""
        if self._refresh_at < math.inf or self.standing.state == "registered":
            self._refresh_at = self._clock()

    def end(self) -> None:
        """Unregister, if registered."""
        self._refresh_at = self._ping_at = math.inf
        is_first, self._leaving = not self._leaving, True
        if is_first and self.standing.state == "registered":
            self._send()

    def _send(self) -> None:
        wire = message.parse(self._client.gen_first_response(self._leaving).encode())
        if not isinstance(wire, Request):
            raise TypeError("pyVoIP wrote something else than a request")
        headers = wire.headers
        headers.remove("Via")
        headers.set("Call-ID", self._call_id)
        headers.set("Contact", self._client.contact())
        # pyVoIP's own counter misses the requests that were repeated with credentials.
        self._sequence += 1
        headers.set("CSeq", f"{self._sequence} REGISTER")
        headers.set("Expires", "0" if self._leaving else str(self._expires))
        self._ask(wire, MOST_PROOFS)

    def _ask(self, request: Request, proofs: int) -> None:
        self._sequence = request.cseq.sequence

        def answered(response: Response, source: Address) -> None:
            self._answered(request, response, proofs)

        self._client.ask(request, self.target, answered, lambda: self._failed(408, "no answer"))

    def _answered(self, request: Request, response: Response, proofs: int) -> None:
        match response.code:
            case code if code < 200:
                return
            case code if code < 300:
                self._granted(request, response)
            case 401 | 407:
                again = self._client.prove(request, response) if proofs else None
                if again is not None:
                    self._ask(again, proofs - 1)
                else:
                    self._failed(response.code, response.phrase)
            case 423 if (response.min_expires or 0) > self._expires and not self._leaving:
                # No endless loop (RFC 3261 §10.2.8): each retry asks for a longer lifetime.
                self._expires = response.min_expires or self._expires
                self._refresh_at = self._clock()
            case _:
                self._failed(response.code, response.phrase)

    def _granted(self, request: Request, response: Response) -> None:
        if request.headers.get("Expires") == "0":
            self.standing = Standing("unregistered", response.code)
            return
        mine = self._client.contact().strip("<>").rpartition("@")[2]
        granted = response.expires or self._expires
        for contact in response.contact:
            text = contact.parameters.get("expires") or ""
            if f"{contact.uri.host}:{contact.uri.port}" == mine and text.isdigit():
                granted = int(text[:9])
        self._failures = 0
        self.standing = Standing("registered", response.code, response.phrase, granted)
        if self._leaving:
            # The REGISTER was under way when `end` was called.
            self._send()
            return
        self._refresh_at = self._clock() + max(granted, _SHORTEST_S) * _EARLY
        self._ping_at = self._clock() + PING_S

    def _failed(self, code: int, reason: str) -> None:
        if self._leaving:
            self.standing = Standing("unregistered", code, reason)
            return
        self.server = (self.server + 1) % len(self._client.account.servers)
        wait = min(FIRST_RETRY_S * 2 ** min(self._failures, 10), LAST_RETRY_S)
        wait *= self._random.uniform(0.75, 1.25)
        # The next server may work: only a whole round without success lengthens the wait.
        self._failures += self.server == 0
        self._refresh_at, self._ping_at = self._clock() + wait, math.inf
        self.standing = Standing("failed", code, reason, retry_at=self._refresh_at)
