"""A phone without audio: the agent, real sockets, and descriptions as text."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from softswitch.legs.sip.addressing.resolve import Resolver
from softswitch.legs.sip.counters import SipCounters
from softswitch.legs.sip.driver import AgentDriver
from softswitch.legs.sip.transports import Transports
from softswitch.legs.sip.transports.transports import Listening
from softswitch.sip.agent import UserAgent
from softswitch.sip.dialog.request import OutgoingRequest
from softswitch.sip.events import CallEvent, Invited, RequestAnswered, RequestReceived
from softswitch.sip.security.digest import Credentials
from softswitch.sip.session.invitation import Invitation
from softswitch.sip.syntax.message import copy_for_reply, parse
from softswitch.sip.transaction.flow import Flow, TransportName

Kind = TypeVar("Kind")
HOST = "127.0.0.1"
WAIT_S = 60.0


def sdp(port: int = 40000, *, direction: str = "sendrecv", events: bool = True, version: int = 1) -> str:
    """Return a description of PCMA; no RTP follows."""
    lines = [
        "v=0", f"o=phone 1 {version} IN IP4 {HOST}", "s=-", f"c=IN IP4 {HOST}", "t=0 0",
        f"m=audio {port} RTP/AVP 8" + " 101" * events, "a=rtpmap:8 PCMA/8000",
        *["a=rtpmap:101 telephone-event/8000"] * events, f"a={direction}",
    ]  # fmt: skip
    return "\r\n".join(lines) + "\r\n"


class Phone:
    """A phone that answers on command, and records its events."""

    def __init__(self, transport: TransportName = "udp") -> None:
        self.transport = transport
        self.agent = UserAgent(entropy=os.urandom, user_agent="phone")
        self.driver = AgentDriver(self.agent, Resolver(), SipCounters())
        self.happenings: list[Any] = []
        self.transports = Transports(
            self, lambda transport, remote: (HOST, self.transports.port), lambda host: True, SipCounters()
        )
        self._changed = asyncio.Event()

    @property
    def port(self) -> int:
        return self.transports.port

    # --- what it is told -----------------------------------------------------------------

    def message_received(self, data: bytes, flow: Flow) -> None:
        self.agent.receive(parse(data), flow, self.driver.now())
        self.driver.pump()

    def flow_lost(self, flow: Flow) -> None:
        self.driver.refused(flow)

    def invited(self, invited: Invited) -> None:
        self.driver.subscribe(invited.session, self.take)
        self.take(invited)

    def requested(self, received: RequestReceived) -> None:
        self.take(received)

    def answered(self, answered: RequestAnswered) -> None:
        self.take(answered)

    def take(self, happening: CallEvent) -> None:
        self.happenings.append(happening)
        self._changed.set()

    async def until(self, kind: type[Kind], number: int = 1) -> Kind:
        """Wait for the nth event of a kind."""
        found: list[Kind] = []
        try:
            async with asyncio.timeout(WAIT_S):
                while len(found := [one for one in self.happenings if isinstance(one, kind)]) < number:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"no {kind.__name__} among {self.happenings}") from None
        return found[number - 1]

    # --- what it does --------------------------------------------------------------------

    def flow(self, port: int) -> Flow:
        """Return the flow to a port on loopback."""
        return Flow(self.transport, HOST, port, 0, HOST, self.port)

    def invite(self, port: int, callee: str = "echo", offer: str | None = "", **fields: Any) -> str:
        """Call; an offer of None leaves it to the other side."""
        invitation = Invitation(
            request_uri=f"sip:{callee}@{HOST}:{port}",
            from_=fields.pop("from_", f"<sip:phone@{HOST}>"),
            to=f"<sip:{callee}@{HOST}>",
            targets=(self.flow(port),),
            sdp=sdp() if offer == "" else offer,
            **fields,
        )
        session = self.agent.invite(invitation, self.driver.now())
        self.driver.subscribe(session, self.take)
        self.driver.pump()
        return session

    def request(self, method: str, port: int, user: str = "phone", **fields: Any) -> str:
        """Ask for something outside a call."""
        address = f"<sip:{user}@{HOST}>"
        outgoing = OutgoingRequest(
            method, f"sip:{HOST}:{port}", from_=address, to=address, targets=(self.flow(port),), **fields
        )
        key = self.agent.request(outgoing, self.driver.now())
        self.driver.pump()
        return key

    async def register(
        self, port: int, user: str, password: str, expires: int = 300, *, contact: str = "", path: str = ""
    ) -> int:
        """Register; return the code of the answer."""
        count = sum(isinstance(one, RequestAnswered) for one in self.happenings)
        self.request(
            "REGISTER",
            port,
            user,
            headers={"Expires": str(expires), **({"Path": path, "Require": "path"} if path else {})},
            contact=contact or f"<sip:{user}@{HOST}:{self.port};transport={self.transport}>",
            credentials=Credentials(user, password),
        )
        return (await self.until(RequestAnswered, count + 1)).response.code

    def do(self, verb: str, session: str, *arguments: Any, **fields: Any) -> bool:
        """Use a verb of the agent on a session."""
        done = getattr(self.agent, verb)(session, *arguments, self.driver.now(), **fields)
        self.driver.pump()
        return bool(done)

    def redirect(self, session: str, *targets: str, code: int = 302) -> None:
        """Answer an INVITE with a redirection, which the agent never sends by itself."""
        transaction = self.agent._sessions.by_id[session].state.incoming
        assert transaction is not None
        response = copy_for_reply(transaction.request, code, "Moved Temporarily", transaction.tag)
        response.headers.setlist("Contact", [f"<{target}>" for target in targets])
        transaction.respond(response)
        self.driver.pump()


@asynccontextmanager
async def phone(transport: TransportName = "udp", made: Phone | None = None) -> AsyncIterator[Phone]:
    made = made or Phone(transport)
    await made.transports.start(
        Listening(HOST), lambda host, port: made.driver.refused(Flow("udp", host, port))
    )
    made.driver.start(made.transports, made)
    try:
        yield made
    finally:
        made.driver.stop()
        await made.transports.stop()
