"""The bus of a worker: questions to the hub in its supervisor."""

import asyncio
import itertools
import logging
from collections.abc import Callable

import msgspec

from softswitch.bus.bus import MOST_BYTES, BusError, Entry, Fenced, OnMessage, OnRequest
from softswitch.bus.frames import Frame, pack, unpack
from softswitch.log.tasks import Tasks

logger = logging.getLogger(__name__)

ANSWER_S = 2.0
"""Longest wait for the hub, in seconds."""
MOST_WAITING = 10_000
"""Questions that may wait for an answer at once."""


class HubBus:
    """The bus of one worker (a `Bus`)."""

    def __init__(
        self, node: str, send: Callable[[bytes], bool], on_frame: Callable[[Frame], None] | None = None
    ) -> None:
        """Prepare.

        Args:
            node: Name of this worker.
            send: Sends the hub a frame; False where it cannot.
            on_frame: Receives frames of the supervisor that are not of the bus.
        """
        self.node = node
        self._send = send
        self._on_frame = on_frame or (lambda frame: None)
        self._numbers = itertools.count(1)
        self._waiting: dict[int, tuple[asyncio.Future[Frame], list[Entry]]] = {}
        self._topics: dict[str, list[OnMessage]] = {}
        self._on_request: OnRequest | None = None
        self._lost: list[Callable[[str], None]] = []
        self._unheard: list[str] = []
        self._nodes = [node]
        self._tasks = Tasks("bus")
        self.known = asyncio.Event()
        """Set when the hub has told the names of the nodes."""

    # --- entries ------------------------------------------------------------------------------

    async def put(self, key: str, value: bytes, *, only_new: bool = False) -> bool:
        """Put an entry."""
        _check(value)
        return bool((await self._ask(Frame("put", key=key, value=value, number=float(only_new)))).number)

    async def get(self, key: str) -> Entry | None:
        """Return an entry."""
        found = (await self._ask(Frame("get", key=key))).entries
        return found[0] if found else None

    async def delete(self, key: str) -> None:
        """Delete an entry of this node."""
        await self._ask(Frame("delete", key=key))

    async def scan(self, prefix: str) -> list[Entry]:
        """Return the entries whose key begins with a text."""
        return (await self._ask(Frame("scan", key=prefix))).entries

    async def tombstones(self, node: str) -> list[Entry]:
        """Return the entries of a lost node."""
        return (await self._ask(Frame("tombs", node=node))).entries

    async def clear(self, node: str) -> None:
        """Delete the entries of a lost node."""
        await self._ask(Frame("clear", node=node))

    async def lease(self, key: str, ttl_s: float) -> Fenced | None:
        """Take or renew a lease."""
        fence = int((await self._ask(Frame("lease", key=key, number=ttl_s))).number)
        return Fenced(key, fence) if fence else None

    async def release(self, lease: Fenced) -> None:
        """Give a lease back."""
        await self._ask(Frame("release", key=lease.key, number=lease.fence))

    # --- messages -----------------------------------------------------------------------------

    def publish(self, topic: str, data: bytes) -> None:
        """Send a message to all other nodes."""
        _check(data)
        self._send(pack(Frame("publish", key=topic, value=data)))

    def subscribe(self, topic: str, on_message: OnMessage) -> None:
        """Receive the messages of a topic."""
        self._topics.setdefault(topic, []).append(on_message)

    async def request(self, node: str, data: bytes, timeout_s: float = 2.0) -> bytes:
        """Ask another node."""
        _check(data)
        answer = await self._ask(Frame("ask", value=data, node=node), timeout_s)
        if not answer.number:
            raise BusError(f"the node {node} is not there")
        return answer.value

    def serve(self, on_request: OnRequest) -> None:
        """Answer requests."""
        self._on_request = on_request

    def nodes(self) -> list[str]:
        """Return the live nodes."""
        return list(self._nodes)

    def on_lost(self, lost: Callable[[str], None]) -> None:
        """Have a function called with each node that is lost, also with those lost before."""
        self._lost.append(lost)
        for node in self._unheard:
            lost(node)

    # --- frames -------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Handle a frame of the supervisor."""
        try:
            frame = unpack(data)
        except msgspec.MsgspecError:
            logger.error("a frame of the supervisor cannot be read")
            return
        match frame.kind:
            case "done" | "reply" | "figures":
                self._answered(frame)
            case "publish":
                for on_message in self._topics.get(frame.key, ()):
                    on_message(frame.value, frame.node)
            case "ask":
                self._tasks.spawn(self._serve(frame), name="bus request")
            case "nodes":
                self._nodes = frame.names
                self.known.set()
            case "lost":
                if not self._lost:
                    self._unheard.append(frame.node)
                for lost in self._lost:
                    lost(frame.node)
            case _:
                self._on_frame(frame)

    def tell(self, frame: Frame) -> None:
        """Send the supervisor a frame without an answer."""
        self._send(pack(frame))

    async def ask_supervisor(self, kind: str) -> bytes:
        """Return what the supervisor answers to a question of its own; raises BusError."""
        return (await self._ask(Frame(kind))).value

    def close(self) -> None:
        """Fail all questions: the supervisor is gone."""
        for future, _ in self._waiting.values():
            if not future.done():
                future.set_exception(BusError("the supervisor is gone"))
        self._waiting.clear()
        self._tasks.cancel()

    def _answered(self, frame: Frame) -> None:
        waiting = self._waiting.get(frame.id)
        if waiting is None:
            return
        future, entries = waiting
        entries += frame.entries
        if frame.kind == "done" and not frame.number and frame.entries:
            return  # a piece; more entries follow
        if not future.done():
            frame.entries = entries
            future.set_result(frame)

    async def _ask(self, frame: Frame, timeout_s: float = ANSWER_S) -> Frame:
        if len(self._waiting) >= MOST_WAITING:
            raise BusError("too many questions wait for the bus")
        frame.id = next(self._numbers)
        future: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._waiting[frame.id] = future, []
        try:
            if not self._send(pack(frame)):
                raise BusError("the bus does not take more")
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError:
            raise BusError("the bus did not answer in time") from None
        finally:
            self._waiting.pop(frame.id, None)

    async def _serve(self, frame: Frame) -> None:
        if self._on_request is None:
            return
        try:
            value, number = await self._on_request(frame.value, frame.node), 1.0
            _check(value)
        except Exception:
            logger.exception("a request of a node failed", extra={"node": frame.node})
            value, number = b"", 0.0
        self._send(pack(Frame("reply", frame.id, value=value, node=frame.node, number=number)))


def _check(value: bytes) -> None:
    if len(value) > MOST_BYTES:
        raise ValueError(f"a message of the bus has {len(value)} bytes: at most {MOST_BYTES} are allowed")
