"""The way in: reads what the wires bring, lets in what policy admits, and answers the rest."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from softswitch.endpoints.sip.counters import SipCounters
from softswitch.endpoints.sip.driver import AgentDriver
from softswitch.endpoints.sip.policy import Admitted, Challenged, Denied, Policy
from softswitch.endpoints.sip.transports import Transports
from softswitch.endpoints.sip.trunks import Trunks
from softswitch.errors import NotNowError
from softswitch.sip.flow import Flow
from softswitch.sip.guard import Guard, Rate
from softswitch.sip.message import MalformedError, Request, parse, stamp_source

logger = logging.getLogger(__name__)

DRAINING_S = 30
"""Seconds told to callers while the switch goes down: another one may be up by then."""


def _nothing() -> None:
    """Hold no place."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A request that was let in."""

    admitted: Admitted
    leave: Callable[[], None] = _nothing
    """Gives back the place of the call among those of its trunk."""


class Doorman:
    """Takes every message first (:class:`softswitch.endpoints.sip.transports.Receiver`)."""

    def __init__(
        self,
        driver: AgentDriver,
        policy: Policy,
        guard: Guard,
        trunks: Trunks,
        counters: SipCounters,
        *,
        calls_per_second: int,
        lost: Callable[[Flow], None],
    ) -> None:
        """Let nobody in yet.

        Args:
            driver: of the agent.
            policy: says who is answered.
            guard: bounds what strangers may ask.
            trunks: whose calls are bounded.
            counters: of all telephones.
            calls_per_second: new calls in a second, all together; 0: no bound.
            lost: told of connections that are gone.
        """
        self._driver = driver
        self._policy = policy
        self._guard = guard
        self._trunks = trunks
        self._counters = counters
        self._rate = Rate(calls_per_second)
        self._lost = lost
        self._entries: dict[tuple[str, str], Entry] = {}
        self.transports: Transports | None = None
        self.draining = False
        """New calls are refused."""

    def message_received(self, data: bytes, flow: Flow) -> None:
        """Take one message; whatever it is, nothing is raised."""
        try:
            self._take(data, flow)
        except Exception:
            # A fault of ours must not end the transport that brought the message.
            self._driver.failures += 1
            logger.exception("a message could not be treated", extra={"transport": flow.transport})

    def flow_lost(self, flow: Flow) -> None:
        """Tell of a connection that is gone."""
        self._lost(flow)
        self._driver.refused(flow)

    def admitted(self, request: Request) -> Entry:
        """Return as what a request was let in; asked once for each."""
        return self._entries.pop(_key(request), Entry(Admitted("anonymous")))

    def _take(self, data: bytes, flow: Flow) -> None:
        try:
            message = parse(data)
        except MalformedError as error:
            self._refuse_malformed(error, flow)
            return
        self._counters.messages_received += 1
        if not isinstance(message, Request) or self._driver.agent.knows(message):
            self._driver.agent.receive(message, flow, self._driver.now())
            self._driver.pump()
            return
        judgement = self._policy.judge(message, flow, self._driver.now())
        match judgement:
            case Admitted():
                self._let_in(message, flow, judgement)
            case Challenged():
                self._answer(
                    message, flow, 401, tuple(("WWW-Authenticate", value) for value in judgement.values)
                )
            case Denied():
                self._answer(message, flow, judgement.code, (), judgement.reason)
            case _:
                pass  # silence, which policy has counted

    def _let_in(self, request: Request, flow: Flow, admitted: Admitted) -> None:
        leave: Callable[[], None] = _nothing
        if request.method == "INVITE" and "tag" not in request.to_address.parameters:
            try:
                leave = self._enter(admitted)
            except NotNowError as error:
                self._counters.overloaded += 1
                wait = str(max(1, round(error.retry_after_s)))
                self._answer(request, flow, 503, (("Retry-After", wait),))
                return
        self._entries[_key(request)] = Entry(admitted, leave)
        self._driver.agent.receive(request, flow, self._driver.now())
        self._driver.pump()
        if entry := self._entries.pop(_key(request), None):
            entry.leave()  # the agent answered by itself

    def _enter(self, admitted: Admitted) -> Callable[[], None]:
        if self.draining:
            raise NotNowError("the switch is going down", retry_after_s=DRAINING_S)
        if not self._rate.take(self._driver.now()):
            raise NotNowError("too many calls in this second ([sip] calls_per_second)")
        trunk = self._trunks.get(admitted.name) if admitted.source == "trunk" else None
        return trunk.enter() if trunk is not None else _nothing

    def _answer(
        self,
        request: Request,
        flow: Flow,
        code: int,
        headers: tuple[tuple[str, str], ...],
        reason: str = "",
    ) -> None:
        self._driver.agent.respond_stateless(request, flow, code, reason=reason, headers=headers)
        self._driver.pump()

    def _refuse_malformed(self, error: MalformedError, flow: Flow) -> None:
        self._counters.messages_malformed += 1
        known = self._guard.trusts(flow.host) or self._trunks.of_source(flow.host) is not None
        if error.reply is None or self.transports is None or not known:
            return
        stamp_source(error.reply, flow.host, flow.port)
        self.transports.send(bytes(error.reply), flow, _nothing)


def _key(request: Request) -> tuple[str, str]:
    return request.call_id, request.via[0].parameters.get("branch") or ""
