"""User agents connected by a fake network with a fake clock and seeded loss, duplication and delay."""

import heapq
import random
from collections.abc import Callable
from typing import Any

from softswitch.sip.agent import AgentLimits, Flow, Invitation, Timers, UserAgent
from softswitch.sip.events import CallEvent, Invited
from softswitch.sip.syntax import message
from softswitch.sip.syntax.message import Request, Response
from softswitch.sip.transaction.flow import TransportName

OFFER = "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
ANSWER = "v=0\r\no=- 2 1 IN IP4 10.0.0.2\r\ns=-\r\nc=IN IP4 10.0.0.2\r\nt=0 0\r\nm=audio 5000 RTP/AVP 0\r\n"
HOLD = OFFER + "a=sendonly\r\n"
HELD = ANSWER + "a=recvonly\r\n"


class Peer:
    """A user agent with an address, which records its events."""

    def __init__(self, link: "Link", name: str, host: str, limits: AgentLimits) -> None:
        self.link = link
        self.name = name
        self.host = host
        entropy = random.Random(name)
        self.agent: Any = UserAgent(
            entropy=entropy.randbytes, user_agent=name, timers=link.timers, limits=limits
        )
        self.happened: list[CallEvent] = []
        self.reactions: dict[type, Callable[[Any], object]] = {}
        """Callbacks that handle a kind of event at once."""

    def flow_to(self, other: "Peer") -> Flow:
        return Flow(self.link.transport, other.host, 5060, self.link.connection, self.host, 5060)

    def call(self, other: "Peer", **options) -> str:
        options = {"sdp": OFFER, **options}
        invitation = Invitation(
            f"sip:{other.name}@{other.host}",
            f"<sip:{self.name}@{self.host}>",
            f"<sip:{other.name}@{other.host}>",
            options.pop("targets", (self.flow_to(other),)),
            **options,
        )
        session: str = self.agent.invite(invitation, self.link.now)
        return session

    def of(self, kind: type) -> list[Any]:
        return [one for one in self.happened if isinstance(one, kind)]

    def the(self, kind: type) -> Any:
        found = self.of(kind)
        assert len(found) == 1, (kind, self.happened)
        return found[0]

    def last(self, kind: type) -> Any:
        return self.of(kind)[-1]

    def inject(self, text: str | bytes, source: "Peer | None" = None, flow: Flow | None = None) -> None:
        """Have something arrive that no agent sent."""
        data = text if isinstance(text, bytes) else text.replace("\n", "\r\n").encode()
        if flow is None:
            host = source.host if source else "10.0.0.99"
            flow = Flow(self.link.transport, host, 5060, self.link.connection, self.host, 5060)
        self.agent.receive(message.parse(data), flow, self.link.now)


class Link:
    """A network of user agents."""

    def __init__(
        self,
        *names: str,
        transport: TransportName = "udp",
        seed: int = 0,
        loss: float = 0.0,
        doubling: float = 0.0,
        delay: float = 0.0,
        timers: Timers | None = None,
        limits: AgentLimits | None = None,
    ) -> None:
        self.now = 1000.0
        self.transport = transport
        self.connection = 0 if transport == "udp" else 7
        self.timers = timers or Timers()
        self.random = random.Random(seed)
        self.loss, self.doubling, self.delay = loss, doubling, delay
        self.sent: list[tuple[str, str, Any]] = []
        """Sender, receiver and message, in order of sending."""
        self.filter: Callable[[str, str, Request | Response], bool] = lambda *_: True
        """Returns False for what shall be lost."""
        self._queue: list[tuple[float, int, str, Flow, bytes]] = []
        self._count = 0
        self.peers = {
            name: Peer(self, name, f"10.0.0.{n}", limits or AgentLimits()) for n, name in enumerate(names, 1)
        }
        self._hosts = {peer.host: peer for peer in self.peers.values()}

    def __getitem__(self, name: str) -> Peer:
        return self.peers[name]

    def run(self, seconds: float = 0.3) -> None:
        """Let time pass."""
        until = self.now + seconds
        self._drain()
        for _ in range(100_000):
            times = [self._queue[0][0]] if self._queue else []
            times += [when for one in self.peers.values() if (when := one.agent.deadline()) is not None]
            if not times or min(times) > until:
                self.now = until
                return
            self.now = max(self.now, min(times))
            while self._queue and self._queue[0][0] <= self.now:
                _, _, host, flow, data = heapq.heappop(self._queue)
                self._hosts[host].agent.receive(message.parse(data), flow, self.now)
                self._drain()
            for peer in self.peers.values():
                peer.agent.elapse(self.now)
            self._drain()
        raise AssertionError("the agents never rest")

    def flows(self) -> list[str]:
        """The messages sent, short: ``a>b INVITE`` or ``b>a 200 INVITE``."""
        return [f"{one}>{other} {short(sent)}" for one, other, sent in self.sent]

    def count(self, text: str) -> int:
        return self.flows().count(text)

    def _drain(self) -> None:
        busy = True
        while busy:
            busy = False
            for peer in self.peers.values():
                for out in peer.agent.take_outgoing():
                    self._carry(peer, out.to, out.data)
                for event in peer.agent.take_events():
                    busy = True
                    peer.happened.append(event)
                    reaction = peer.reactions.get(type(event))
                    if reaction:
                        reaction(event)

    def _carry(self, sender: Peer, to: Flow, data: bytes) -> None:
        receiver = self._hosts.get(to.host)
        sent = message.parse(data)
        self.sent.append((sender.name, receiver.name if receiver else to.host, sent))
        if receiver is None or not self.filter(sender.name, receiver.name, sent):
            return
        source = Flow(to.transport, sender.host, 5060, to.connection, receiver.host, 5060)
        for _ in range(2 if self.random.random() < self.doubling else 1):
            if self.random.random() >= self.loss:
                self._count += 1
                when = self.now + self.delay * self.random.random()
                heapq.heappush(self._queue, (when, self._count, receiver.host, source, data))


def short(sent: Request | Response) -> str:
    if isinstance(sent, Request):
        return sent.method
    return f"{sent.code} {sent.cseq.method}"


def talking(**options) -> tuple[Link, Peer, Peer, str, str]:
    """Two peers in a call: the link, caller, called, and the session of each."""
    link = Link("anna", "bert", **options)
    anna, bert = link["anna"], link["bert"]
    annas = anna.call(bert)
    link.run()
    berts = bert.the(Invited).session
    bert.agent.answer(berts, ANSWER, link.now)
    link.run()
    link.sent.clear()
    anna.happened.clear()
    bert.happened.clear()
    return link, anna, bert, annas, berts
