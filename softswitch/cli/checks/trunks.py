"""Look whether trunks can be found, answer, and take our name and password."""

import asyncio
import os
import time

from sipmessage import Response

from softswitch.cli.checks.finding import Finding, fail, ok
from softswitch.endpoints.sip.counters import SipCounters
from softswitch.endpoints.sip.driver import AgentDriver
from softswitch.endpoints.sip.own_addresses import OwnAddresses
from softswitch.endpoints.sip.resolve import Resolver, UnresolvedError
from softswitch.endpoints.sip.transports import Transports
from softswitch.endpoints.sip.transports.transports import Listening
from softswitch.endpoints.sip.trunk import Trunk
from softswitch.settings import Settings
from softswitch.sip.agent import UserAgent
from softswitch.sip.flow import Flow
from softswitch.sip.happenings import Invited, RequestAnswered, RequestReceived
from softswitch.sip.message import MalformedError, parse

TIMEOUT_S = 6.0
"""Longest wait for an answer: a request over UDP has been sent five times by then."""

_ADVICE = {
    401: "username, password, auth_user or realm of the trunk is wrong",
    407: "username, password, auth_user or realm of the trunk is wrong",
    403: "the provider refuses this account or this address: username, from_domain, or its own allow list",
    404: "the provider knows no such account: username, from_domain",
    423: "the provider wants longer registrations: raise expires",
    408: "address, port, transport and firewall; some providers answer addresses alone that they know",
    503: "nothing listens there, or the provider is overloaded: address, port, transport",
}


class _Desk:
    """Take no calls: the doctor only asks."""

    def __init__(self, driver: AgentDriver) -> None:
        self._driver = driver

    def invited(self, invited: Invited) -> None:
        self._driver.agent.reject(invited.session, 480, self._driver.now())

    def requested(self, received: RequestReceived) -> None:
        self._driver.agent.respond(received.key, 480, self._driver.now())

    def answered(self, answered: RequestAnswered) -> None:
        """Let an answer that comes too late go."""


class _Inbox:
    """Hand the agent what belongs to our own requests."""

    def __init__(self, driver: AgentDriver) -> None:
        self._driver = driver
        self.malformed = 0

    def message_received(self, data: bytes, flow: Flow) -> None:
        try:
            message = parse(data)
        except MalformedError:
            self.malformed += 1
            return
        if self._driver.agent.knows(message):
            self._driver.agent.receive(message, flow, self._driver.now())
            self._driver.pump()

    def flow_lost(self, flow: Flow) -> None:
        self._driver.refused(flow)


def check(settings: Settings) -> list[Finding]:
    """Ask each trunk once."""
    return asyncio.run(_ask_all(settings)) if settings.trunk and settings.sip.enabled else []


async def _ask_all(settings: Settings) -> list[Finding]:
    sip = settings.sip
    counters = SipCounters()
    own = OwnAddresses(sip, settings.rtp)
    driver = AgentDriver(UserAgent(entropy=os.urandom), Resolver(), counters)
    transports = Transports(_Inbox(driver), own.signalling, lambda host: True, counters)
    try:
        await transports.start(
            Listening(sip.host), lambda host, port: driver.refused(Flow("udp", host, port))
        )
    except OSError as error:
        return [
            fail("trunks", f"{sip.host}: {error.strerror}", "[sip] host has to be an address of this machine")
        ]
    own.ports = {"udp": transports.port, "tcp": transports.port}
    driver.start(transports, _Desk(driver))
    try:
        trunks = [Trunk(one, driver, Resolver(), own, os.urandom) for one in settings.trunk]
        return list(await asyncio.gather(*(_ask(trunk, driver, transports) for trunk in trunks)))
    finally:
        driver.stop()
        await transports.stop()


async def _ask(trunk: Trunk, driver: AgentDriver, transports: Transports) -> Finding:
    """Ask a registrar for our bindings, which changes none of them, or any other server what it can do."""
    what = f"trunk {trunk.name}"
    try:
        await trunk.find()
    except UnresolvedError as error:
        return fail(what, str(error), "servers of the trunk, and the DNS of this machine")
    for target in trunk.targets:
        transports.name(target.host, target.name)
    settings = trunk.settings
    method = "REGISTER" if settings.register else "OPTIONS"
    address = trunk.address
    outcome: asyncio.Future[RequestAnswered] = asyncio.get_running_loop().create_future()
    began = time.monotonic()
    key = driver.agent.request(
        method,
        f"sip:{trunk.domain}" if settings.register else f"sip:{trunk.host}",
        driver.now(),
        from_=f"<{address}>",
        to=f"<{address}>" if settings.register else f"<sip:{trunk.host}>",
        targets=trunk.flows(),
        credentials=trunk.credentials,
        contact="" if settings.register else None,
    )
    driver.expect(key, outcome.set_result)
    driver.pump()
    place = trunk.view().server
    try:
        async with asyncio.timeout(TIMEOUT_S):
            answered = await asyncio.shield(outcome)
    except TimeoutError:
        return fail(what, f"{place} does not answer {method} within {TIMEOUT_S:g} s", _ADVICE[408])
    took_ms = 1000 * (time.monotonic() - began)
    return _judge(what, place, method, answered, took_ms)


def _judge(what: str, place: str, method: str, answered: RequestAnswered, took_ms: float) -> Finding:
    response: Response = answered.response
    code = response.code
    if answered.local:
        text = "cannot be reached" if code == 503 else f"does not answer {method}"
        return fail(what, f"{place} {text}", _ADVICE.get(code, _ADVICE[408]))
    if code // 100 == 2:
        text = "takes our name and password" if method == "REGISTER" else "answers"
        return ok(what, f"{place} {text} ({took_ms:.0f} ms)")
    if method == "OPTIONS" and code not in (401, 403, 407, 503):
        return ok(what, f"{place} answers OPTIONS with {code} ({took_ms:.0f} ms)")
    return fail(
        what, f"{place} answers {method} with {code} {response.phrase}", _ADVICE.get(code, "ask the provider")
    )
