"""Messages of a client of ``/ws`` for rooms of other nodes: they are sent there, and events come back."""

import contextlib

import aiohttp
import msgspec
from aiohttp import WSMsgType, web
from yarl import URL

from softswitch.bus.bus import BusError
from softswitch.cluster.cluster import Cluster
from softswitch.cluster.signing import HEADER
from softswitch.log.tasks import Tasks
from softswitch.web.auth import PROTOCOL
from softswitch.web.call.sockets import CallSocket
from softswitch.web.forwarding import headers_of

MOST_ROOMS = 64
"""Rooms of one client whose nodes are remembered."""


class RoomsElsewhere:
    """The rooms of other nodes that one client is in."""

    def __init__(self, cluster: Cluster, request: web.Request, socket: CallSocket, most: int) -> None:
        """Prepare.

        Args:
            cluster: The other nodes.
            request: The handshake of the client, whose credentials the other nodes get.
            socket: The client.
            most: Octets of the longest message.
        """
        self._cluster = cluster
        self._request = request
        self._socket = socket
        self._most = most
        self._auth = ""
        self._rooms: dict[str, str] = {}
        self._far: dict[str, aiohttp.ClientWebSocketResponse] = {}
        self._tasks = Tasks("web")

    async def takes(self, text: str, *, is_known: bool) -> bool:
        """Send a message to the node whose room it names; False where it is for this node.

        Args:
            text: The message.
            is_known: Whether the client has proved who it is.
        """
        try:
            given = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            return False
        if not isinstance(given, dict):
            return False
        if given.get("type") == "auth":
            self._auth = text
            return False
        room = given.get("roomId")
        if not isinstance(room, str) or not is_known or self._cluster.rooms is None:
            return False
        node = self._rooms.get(room) or self._cluster.rooms.elsewhere(room)
        if not node or len(self._rooms) >= MOST_ROOMS:
            return False
        try:
            far = self._far.get(node) or await self._connect(node)
            await far.send_str(text)
        except (BusError, aiohttp.ClientError, OSError):
            self._socket.close(1013, "the node of the room cannot be reached")
            return True
        self._rooms[room] = node
        return True

    async def close(self) -> None:
        """Close the connections to other nodes."""
        far, self._far = list(self._far.values()), {}
        for one in far:
            with contextlib.suppress(aiohttp.ClientError, OSError):
                await one.close()
        self._tasks.cancel()

    async def _connect(self, node: str) -> aiohttp.ClientWebSocketResponse:
        request = self._request
        path = request.raw_path
        session, base = await self._cluster.peers.session(node)
        offered = request.headers.get("Sec-WebSocket-Protocol", "")
        far = await session.ws_connect(
            URL(base + path, encoded=True),
            headers={
                **headers_of(request),
                HEADER: self._cluster.signer.sign(f"GET {path}", request.remote or ""),
            },
            protocols=[name.strip() for name in offered.split(",") if name.strip()] or (PROTOCOL,),
            max_msg_size=self._most + 1,
            compress=0,
        )
        self._far[node] = far
        if self._auth:
            await far.send_str(self._auth)
        self._tasks.spawn(self._read(node, far), name="rooms of another node")
        return far

    async def _read(self, node: str, far: aiohttp.ClientWebSocketResponse) -> None:
        async for message in far:
            if message.type is WSMsgType.TEXT:
                self._socket.text(message.data)
        if self._far.pop(node, None) is not None:
            self._socket.close(1008 if far.close_code == 1008 else 1001, "the node of the room has ended")
