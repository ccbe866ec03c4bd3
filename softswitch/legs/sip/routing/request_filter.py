"""The request filter: parses messages, asks the policy about new requests, sheds calls under overload."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import assert_never

from softswitch.errors import NotNowError
from softswitch.legs.sip.accounts.trunks import Trunks
from softswitch.legs.sip.counters import SipCounters
from softswitch.legs.sip.driver import AgentDriver
from softswitch.legs.sip.routing.policy import Admitted, Challenged, Denied, Ignored, Policy
from softswitch.legs.sip.transports.interface import SipTransports
from softswitch.sip.security.guard import Guard, Rate
from softswitch.sip.security.shedding import Glimpse, glimpse, refusal
from softswitch.sip.syntax.message import MalformedError, Request, parse, stamp_source
from softswitch.sip.transaction.flow import Flow

logger = logging.getLogger(__name__)

DRAINING_S = 30
"""Retry-After for calls rejected during shutdown, in seconds: another instance may run by then."""


STALE_S = 0.08
"""Age from which an INVITE is refused while the switch is overloaded, in seconds.

What waits must be gone before its senders retransmit it, after T1 (500 ms, RFC 3261 section 17.1.1.1): copies
cost as much as calls. Refusals are so cheap that a queue is empty soon.
"""
STALE_WAIT_S = 2
"""Retry-After for calls whose INVITE waited too long, in seconds."""
REFUSED_S = 32.0
"""Time in which copies of a refused INVITE come: timer B (RFC 3261 section 17.1.1.2), in seconds."""
MOST_REFUSED = 20_000
"""Refused INVITEs whose copies are recognised; the oldest is dropped first."""
MOST_KNOWN = 10_000
"""Source addresses whose calls are shed without another look by the policy."""


def _nothing() -> None:
    """Do nothing: the request holds no share of a trunk."""


def _refuse_none() -> int:
    """Refuse no call."""
    return 0


def _never() -> bool:
    """Tell that the switch is not overloaded."""
    return False


@dataclass(slots=True)
class Shedding:
    """Overload control, as the request filter asks it."""

    refuse: Callable[[], int] = _refuse_none
    """Decides on one new call: 0 admits it, else the Retry-After in seconds."""
    is_shedding: Callable[[], bool] = _never
    """Tells whether calls are being refused."""
    waited: Callable[[float], None] = lambda age_s: None
    """Called with the time that a datagram waited in the socket, in seconds."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A request that the policy admitted."""

    admitted: Admitted
    release: Callable[[], None] = _nothing
    """Ends the call's share of its trunk's limits."""


class RequestFilter:
    """First receiver of all SIP messages (:class:`softswitch.legs.sip.transports.Receiver`)."""

    def __init__(
        self,
        driver: AgentDriver,
        policy: Policy,
        guard: Guard,
        trunks: Trunks,
        counters: SipCounters,
        *,
        calls_per_second: int,
        on_flow_lost: Callable[[Flow], None],
        on_proof: Callable[[str], None],
    ) -> None:
        """Prepare; `transports` is set before the first message.

        Args:
            driver: driver of the agent.
            policy: decides which requests get a response.
            guard: limits and bans of unknown sources.
            trunks: trunks with limits of their own.
            counters: of all SIP legs.
            calls_per_second: limit of new calls, of all sources together; 0: unlimited.
            on_flow_lost: called with each connection that is closed.
            on_proof: called with the address of each request with a right password.
        """
        self._driver = driver
        self._policy = policy
        self._guard = guard
        self._trunks = trunks
        self._counters = counters
        self._rate = Rate(calls_per_second)
        self._on_flow_lost = on_flow_lost
        self._on_proof = on_proof
        self._entries: dict[tuple[str, str], Entry] = {}
        self._refused: dict[str, tuple[float, int]] = {}
        self._known: dict[str, None] = {}
        self._is_admitted = False
        """The message being handled is a call that overload control has admitted already."""
        self.shedding = Shedding()
        """Overload control; set before the first message."""
        self.transports: SipTransports | None = None
        self.draining = False
        """New calls are refused with 503."""

    def message_received(self, data: bytes, flow: Flow) -> None:
        """Handle one message; raises nothing."""
        try:
            self._handle(data, flow)
        except Exception:
            # The fault must not end the transport that received the message.
            self._driver.failures += 1
            logger.exception("a SIP message could not be handled", extra={"transport": flow.transport})

    def flow_lost(self, flow: Flow) -> None:
        """Handle a connection that is closed."""
        self._on_flow_lost(flow)
        self._driver.refused(flow)

    def admitted(self, request: Request) -> Entry:
        """Return the entry of an admitted request; once for each."""
        return self._entries.pop(_key(request), Entry(Admitted("anonymous")))

    # --- while the switch is overloaded -----------------------------------------------------

    def _shed(self, data: bytes, flow: Flow) -> bool:
        """Refuse a new call from its octets, before it is parsed; False where the message must be parsed."""
        seen = glimpse(data)
        if seen is None:
            return False
        refused = self._refused.get(seen.key)
        if seen.method == b"ACK":
            if refused is None and not seen.is_ours:
                return False
            self._counters.messages_received += 1
            return True
        now = self._driver.now()
        if refused is not None and refused[0] > now:
            self._send_refusal(seen, flow, refused[1])
            return True
        if not self._is_new(seen.key, flow) or not (wait := self._verdict(flow)):
            return False
        self._remember(seen.key, now, wait)
        self._send_refusal(seen, flow, wait)
        return True

    def _is_new(self, key: str, flow: Flow) -> bool:
        """Tell whether an INVITE begins a call from an address that the policy has admitted before."""
        return flow.host in self._known and not self._driver.agent.holds(key)

    def _verdict(self, flow: Flow) -> int:
        """Decide on a new call: 0 admits it, and `_admit` does not ask again."""
        if self.draining:
            return DRAINING_S
        if self._is_stale(flow):
            self._counters.stale += 1
            return STALE_WAIT_S
        wait = self.shedding.refuse()
        self._is_admitted = not wait
        return wait

    def _remember(self, key: str, now: float, wait: int) -> None:
        refused = self._refused
        while refused:
            oldest = next(iter(refused))
            if len(refused) < MOST_REFUSED and refused[oldest][0] > now:
                break
            del refused[oldest]
        refused[key] = now + REFUSED_S, wait

    def _send_refusal(self, seen: Glimpse, flow: Flow, wait: int) -> None:
        self._counters.messages_received += 1
        self._counters.overloaded += 1
        if self.transports is None:
            return
        if (
            not (flow.reliable or seen.has_rport)
            and seen.host.strip(b"[]").decode().lower() == flow.host.lower()
        ):
            # Without rport, a response goes to the port of the Via (RFC 3261 section 18.2.2).
            to = replace(flow, port=seen.port or 5060)
        else:
            to = flow
        self.transports.send(refusal(seen, flow.host, flow.port, wait), to, _nothing)

    def _is_stale(self, flow: Flow) -> bool:
        """Tell whether the message being handled waited so long that its sender has retransmitted it."""
        return (
            flow.transport == "udp"
            and self.transports is not None
            and self.transports.age_s > STALE_S
            and self.shedding.is_shedding()
        )

    # --- messages ---------------------------------------------------------------------------

    def _handle(self, data: bytes, flow: Flow) -> None:
        self._is_admitted = False
        if (self._refused or self.shedding.is_shedding()) and self._shed(data, flow):
            return
        try:
            message = parse(data)
        except MalformedError as error:
            self._refuse_malformed(error, flow)
            return
        self._counters.messages_received += 1
        if not isinstance(message, Request) or self._driver.agent.knows(message):
            self._driver.received(data, flow)
            self._driver.agent.receive(message, flow, self._driver.now())
            self._driver.pump()
            return
        if self._is_stale(flow) and message.method != "INVITE":
            self._counters.stale += 1
            return
        judgement = self._policy.judge(message, flow, self._driver.now())
        if not isinstance(judgement, Ignored):
            self._driver.received(data, flow)
        match judgement:
            case Admitted():
                self._remember_source(flow.host)
                if judgement.source == "user":
                    self._on_proof(flow.host)
                if self.transports is not None and _is_proof(message, judgement):
                    self.transports.on_proof(flow)
                self._forward(message, flow, judgement)
            case Challenged():
                self._answer(
                    message, flow, 401, tuple(("WWW-Authenticate", value) for value in judgement.values)
                )
            case Denied():
                logger.info(
                    "a SIP request was refused",
                    extra={"code": judgement.code, "reason": judgement.reason, "address": flow.host},
                )
                self._answer(message, flow, judgement.code, ())
            case Ignored():
                pass  # no response; the policy has counted the request
            case _ as unreachable:
                assert_never(unreachable)

    def _forward(self, request: Request, flow: Flow, admitted: Admitted) -> None:
        release: Callable[[], None] = _nothing
        if request.method == "INVITE" and "tag" not in request.to_address.parameters:
            try:
                release = self._admit(admitted)
            except NotNowError as error:
                self._counters.overloaded += 1
                wait = str(max(1, round(error.retry_after_s)))
                self._answer(request, flow, 503, (("Retry-After", wait),))
                return
        self._entries[_key(request)] = Entry(admitted, release)
        self._driver.agent.receive(request, flow, self._driver.now())
        self._driver.pump()
        if entry := self._entries.pop(_key(request), None):
            entry.release()  # the agent answered without announcing a call

    def _remember_source(self, host: str) -> None:
        if host not in self._known:
            if len(self._known) >= MOST_KNOWN:
                del self._known[next(iter(self._known))]
            self._known[host] = None

    def _admit(self, admitted: Admitted) -> Callable[[], None]:
        if self.draining:
            raise NotNowError("the switch is shutting down", retry_after_s=DRAINING_S)
        if self._is_admitted:
            self._is_admitted = False
        elif wait := self.shedding.refuse():
            raise NotNowError("the switch is overloaded", retry_after_s=wait)
        if not self._rate.take(self._driver.now(), self._guard.share()):
            raise NotNowError("the limit of [sip] calls_per_second is reached")
        trunk = self._trunks.get(admitted.name) if admitted.source == "trunk" else None
        return trunk.admit_call() if trunk is not None else _nothing

    def _answer(
        self,
        request: Request,
        flow: Flow,
        code: int,
        headers: tuple[tuple[str, str], ...],
    ) -> None:
        """Respond with the standard phrase of the code, without a transaction."""
        self._driver.agent.respond_stateless(request, flow, code, headers=headers)
        self._driver.pump()

    def _refuse_malformed(self, error: MalformedError, flow: Flow) -> None:
        self._counters.messages_malformed += 1
        known = self._guard.trusts(flow.host) or self._trunks.of_source(flow.host) is not None
        if error.reply is None or self.transports is None or not known:
            return
        stamp_source(error.reply, flow.host, flow.port)
        self.transports.send(bytes(error.reply), flow, _nothing)


def _is_proof(request: Request, admitted: Admitted) -> bool:
    """Tell whether an admitted request proves that its sender is known, so that its WebSocket may stay."""
    begins = request.method in ("REGISTER", "INVITE") and "tag" not in request.to_address.parameters
    return admitted.source != "anonymous" or begins


def _key(request: Request) -> tuple[str, str]:
    return request.call_id, request.top_via.parameters.get("branch") or ""
