"""Requests of this node to the web servers of others: over a Unix socket on one host, else over TCP."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
import msgspec
from yarl import URL

from softswitch.bus.bus import Bus, BusError
from softswitch.cluster.signing import HEADER, Signer

RECEIPT_S = 2.0
"""Longest wait for a sign of life of the node that was asked, in seconds."""
PING = b"ping"


class NodeView(msgspec.Struct, frozen=True):
    """What a node tells the others."""

    host: str
    """Name of its machine."""
    socket: str = ""
    """Path of its Unix socket, for nodes of the same machine."""
    address: str = ""
    """host:port of its web server for other machines."""
    sip: str = ""
    """host:port at which it takes internal legs."""


class Peers:
    """The other nodes."""

    def __init__(self, bus: Bus, host: str, signer: Signer) -> None:
        """Prepare; ``host`` is the name of this machine."""
        self.bus = bus
        self._host = host
        self.signer = signer
        self._views: dict[str, NodeView] = {}
        self._sessions: dict[str, aiohttp.ClientSession] = {}
        self.asked = self.failed = 0
        """Requests to other nodes, and those that failed."""
        self.connector: Callable[[NodeView], aiohttp.BaseConnector] = self._connector
        """Makes what opens connections to a node."""
        bus.on_lost(self._lost)

    def others(self) -> list[str]:
        """Return the other live nodes."""
        return [node for node in self.bus.nodes() if node != self.bus.node]

    async def view(self, node: str) -> NodeView:
        """Return what a node tells; raises BusError where it is not there."""
        if (known := self._views.get(node)) is None:
            entry = await self.bus.get(f"node:{node}")
            if entry is None:
                raise BusError(f"the node {node} is not there")
            known = self._views[node] = msgspec.msgpack.decode(entry.value, type=NodeView)
        return known

    def learn(self, node: str, view: NodeView) -> None:
        """Note what a node has told."""
        self._views[node] = view

    def sip_of(self, node: str) -> str:
        """Return where a node takes internal legs; empty: that is not known."""
        view = self._views.get(node)
        return view.sip if view is not None else ""

    async def session(self, node: str) -> tuple[aiohttp.ClientSession, str]:
        """Return the HTTP client of a node, and the beginning of its URLs."""
        view = await self.view(node)
        session = self._sessions.get(node)
        if session is None:
            session = self._sessions[node] = aiohttp.ClientSession(
                connector=self.connector(view),
                timeout=aiohttp.ClientTimeout(total=None, connect=RECEIPT_S),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return session, "http://node" if self._is_near(view) else f"http://{view.address}"

    def _connector(self, view: NodeView) -> aiohttp.BaseConnector:
        near = self._is_near(view)
        return aiohttp.UnixConnector(view.socket, limit=0) if near else aiohttp.TCPConnector(limit=0)

    def _is_near(self, view: NodeView) -> bool:
        """Tell whether a node is on this machine, with a Unix socket."""
        return view.host == self._host and bool(view.socket)

    async def request(
        self,
        node: str,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        data: bytes = b"",
        said: str = "",
    ) -> aiohttp.ClientResponse:
        """Send a request; return the response once its head is there.

        Args:
            node: The node.
            method: GET, POST and so on.
            path: Path with its query, as the client wrote it.
            headers: Headers of the client.
            data: Body.
            said: What is said of the client: its address.

        Raises:
            BusError: The node is not there, or gave no sign of life in `RECEIPT_S`.
        """
        self.asked += 1
        try:
            session, base = await self.session(node)
            signed = {**(headers or {}), HEADER: self.signer.sign(f"{method} {path}", said)}
            url = URL(base + path, encoded=True)
            work = asyncio.ensure_future(
                session.request(method, url, headers=signed, data=data or None, allow_redirects=False)
            )
            try:
                while not work.done():
                    await asyncio.wait({work}, timeout=RECEIPT_S)
                    if not work.done():
                        # The command has a deadline of its own; the node only has to be alive.
                        await self.bus.request(node, PING, RECEIPT_S)
                return work.result()
            except BaseException:
                work.cancel()
                raise
        except (aiohttp.ClientError, OSError) as error:
            self.failed += 1
            raise BusError(f"the node {node} cannot be reached") from error
        except BusError:
            self.failed += 1
            raise

    async def machines(self) -> list[str]:
        """Return one live node of each other machine; a machine that tells nothing is left out."""
        chosen: dict[str, str] = {}
        for node in self.others():
            try:
                view = await self.view(node)
            except BusError:
                continue
            if view.host != self._host:
                chosen.setdefault(view.host, node)
        return list(chosen.values())

    async def hosts(self) -> dict[str, list[str]]:
        """Return the live nodes of each other machine; a node that tells nothing has its own name for it."""
        found: dict[str, list[str]] = {}
        for node in self.others():
            try:
                host = (await self.view(node)).host
            except BusError:
                host = node
            if host != self._host:
                found.setdefault(host, []).append(node)
        return found

    async def answers(self, node: str) -> bool:
        """Tell whether a node answers directly, without the bus."""
        try:
            async with asyncio.timeout(RECEIPT_S):
                session, base = await self.session(node)
                # Any host but a local one may be none that the other node answers as.
                async with session.get(f"{base}/healthz", headers={"Host": "localhost"}) as answer:
                    return answer.status == 200
        except (BusError, aiohttp.ClientError, OSError, TimeoutError):
            return False

    async def read(self, node: str, path: str, headers: Mapping[str, str], said: str = "") -> bytes | None:
        """Return the body of a successful GET; None where the node cannot be asked or refuses."""
        try:
            async with asyncio.timeout(2 * RECEIPT_S):
                response = await self.request(node, "GET", path, headers=headers, said=said)
                async with response:
                    if response.status not in (200, 503):
                        return None
                    return await response.read()
        except (BusError, aiohttp.ClientError, TimeoutError):
            return None

    async def read_all(self, path: str, headers: Mapping[str, str], said: str = "") -> dict[str, bytes]:
        """Return the bodies of all other nodes that answered, by node."""
        nodes = self.others()
        bodies = await asyncio.gather(*(self.read(node, path, headers, said) for node in nodes))
        return {node: body for node, body in zip(nodes, bodies, strict=True) if body is not None}

    async def close(self) -> None:
        """Close all connections."""
        sessions, self._sessions = list(self._sessions.values()), {}
        for session in sessions:
            with contextlib.suppress(aiohttp.ClientError):
                await session.close()

    def _lost(self, node: str) -> None:
        self._views.pop(node, None)
        session: Any = self._sessions.pop(node, None)
        if session is not None:
            asyncio.ensure_future(session.close())  # noqa: RUF006 - it only closes sockets
