"""Check of trunks: whether they can be resolved, answer, and accept the account."""

import asyncio
import os
import time

from sipmessage import Response

from softswitch.cli.checks.finding import Finding, fail, ok
from softswitch.errors import ListenError
from softswitch.legs.sip.accounts.trunk import Trunk
from softswitch.legs.sip.addressing.own_addresses import OwnAddresses
from softswitch.legs.sip.addressing.resolve import Resolver, UnresolvedError
from softswitch.legs.sip.counters import SipCounters
from softswitch.legs.sip.driver import AgentDriver
from softswitch.legs.sip.transports import Transports
from softswitch.legs.sip.transports.transports import Listening
from softswitch.settings import Settings
from softswitch.sip.agent import UserAgent
from softswitch.sip.dialog.request import OutgoingRequest
from softswitch.sip.events import Invited, RequestAnswered, RequestReceived
from softswitch.sip.syntax.message import MalformedError, parse
from softswitch.sip.transaction.flow import Flow

TIMEOUT_S = 6.0
"""Seconds to wait for a response; timer E has sent a request five times by UDP by then."""

_ADVICE = {
    401: "check username, password, auth_user and realm of the trunk",
    407: "check username, password, auth_user and realm of the trunk",
    403: "the provider refuses this account or this address: check username, from_domain and its allow list",
    404: "the provider does not know this account: check username and from_domain of the trunk",
    423: "the provider requires longer registrations: raise expires of the trunk",
    408: "check address, port, transport and firewall; some providers answer known addresses only",
    503: "nothing listens there, or the provider is overloaded: check address, port and transport",
}


class _RefuseAll:
    """Handler of requests outside a dialog that refuses them all: the doctor only sends."""

    def __init__(self, driver: AgentDriver) -> None:
        self._driver = driver

    def invited(self, invited: Invited) -> None:
        self._driver.agent.reject(invited.session, 480, self._driver.now())

    def requested(self, received: RequestReceived) -> None:
        self._driver.agent.respond(received.key, 480, self._driver.now())

    def answered(self, answered: RequestAnswered) -> None:
        """Ignore a response that comes too late."""


class _Inbox:
    """Receiver that passes the agent only what belongs to its own requests."""

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
    """Send one request to each trunk of the settings; return a finding for each."""
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
    except ListenError as error:
        return [fail("trunks", str(error), "set [sip] host to an address of this machine")]
    own.ports = {"udp": transports.port, "tcp": transports.port}
    driver.start(transports, _RefuseAll(driver))
    try:
        trunks = [Trunk(one, driver, Resolver(), own, os.urandom) for one in settings.trunk]
        return list(await asyncio.gather(*(_ask(trunk, driver, transports) for trunk in trunks)))
    finally:
        driver.stop()
        await transports.stop()


async def _ask(trunk: Trunk, driver: AgentDriver, transports: Transports) -> Finding:
    """Send REGISTER without Contact, which changes no binding, or OPTIONS to a trunk without registration."""
    what = f"trunk {trunk.name}"
    try:
        await trunk.find()
    except UnresolvedError as error:
        return fail(what, str(error), "check servers of the trunk and the DNS of this machine")
    for target in trunk.targets:
        transports.set_server_name(target.host, target.name)
    settings = trunk.settings
    method = "REGISTER" if settings.register else "OPTIONS"
    address = trunk.address
    outcome: asyncio.Future[RequestAnswered] = asyncio.get_running_loop().create_future()
    began = time.monotonic()
    request = OutgoingRequest(
        method,
        f"sip:{trunk.domain}" if settings.register else f"sip:{trunk.host}",
        from_=f"<{address}>",
        to=f"<{address}>" if settings.register else f"<sip:{trunk.host}>",
        targets=trunk.flows(),
        credentials=trunk.credentials,
        contact="" if settings.register else None,
    )
    key = driver.agent.request(request, driver.now())
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
        text = "accepts username and password" if method == "REGISTER" else "answers"
        return ok(what, f"{place} {text} ({took_ms:.0f} ms)")
    if method == "OPTIONS" and code not in (401, 403, 407, 503):
        return ok(what, f"{place} answers OPTIONS with {code} ({took_ms:.0f} ms)")
    return fail(
        what, f"{place} answers {method} with {code} {response.phrase}", _ADVICE.get(code, "ask the provider")
    )
