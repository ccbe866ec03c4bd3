"""The hub: the bus of the workers of one host, in their supervisor."""

import time
from collections.abc import Callable

import msgspec

from softswitch.bus.bus import Entry, Fenced
from softswitch.bus.frames import Frame, pack, unpack
from softswitch.bus.table import Table

Send = Callable[[bytes], bool]


class Hub:
    """Carries frames between workers, and keeps their table. Workers are added and removed by name."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start without workers."""
        self.table = Table()
        self._clock = clock
        self._workers: dict[str, Send] = {}
        self.malformed = 0
        """Packets that were no frames."""
        self.messages = 0
        """Frames of workers."""

    def add(self, node: str, send: Send) -> None:
        """Add a worker: all learn its name, and it learns of lost nodes whose entries are not cleared."""
        self._workers[node] = send
        self._tell_nodes()
        for lost in self.table.uncleared():
            send(pack(Frame("lost", node=lost)))

    def remove(self, node: str) -> None:
        """Remove a worker that is gone; what it has put becomes tombstones."""
        if self._workers.pop(node, None) is None:
            return
        self.table.lose(node)
        self._tell_nodes()
        for send in list(self._workers.values()):
            send(pack(Frame("lost", node=node)))

    @property
    def nodes(self) -> list[str]:
        """Names of the workers, in order."""
        return sorted(self._workers)

    def receive(self, node: str, data: bytes) -> Frame | None:
        """Handle a frame of a worker; return it where it is not for the bus."""
        self.messages += 1
        try:
            frame = unpack(data)
        except msgspec.MsgspecError:
            self.malformed += 1
            return None
        match frame.kind:
            case "publish":
                message = pack(Frame("publish", key=frame.key, value=frame.value, node=node))
                for name, send in list(self._workers.items()):
                    if name != node:
                        send(message)
            case "ask" | "reply":
                self._carry(node, frame)
            case "put" | "get" | "delete" | "scan" | "lease" | "release" | "tombs" | "clear":
                self._answer(node, frame)
            case _:
                return frame
        return None

    def _carry(self, node: str, frame: Frame) -> None:
        """Carry a request or its answer to another worker; one that is not there answers as lost."""
        send = self._workers.get(frame.node)
        if send is not None:
            send(pack(Frame(frame.kind, frame.id, value=frame.value, node=node, number=frame.number)))
        elif frame.kind == "ask" and node in self._workers:
            self._workers[node](pack(Frame("reply", frame.id, node=frame.node, number=0)))

    def _answer(self, node: str, frame: Frame) -> None:
        table, now = self.table, self._clock()
        answer = Frame("done", frame.id, number=1)
        match frame.kind:
            case "put":
                entry = Entry(frame.key, frame.value, node)
                answer.number = float(table.put(entry, only_new=bool(frame.number)))
            case "get":
                found = table.get(frame.key)
                answer.entries = [found] if found is not None else []
            case "delete":
                table.delete(frame.key, node)
            case "scan":
                self._send_entries(node, frame.id, table.scan(frame.key))
                return
            case "tombs":
                self._send_entries(node, frame.id, table.tombstones(frame.node))
                return
            case "lease":
                lease = table.lease(frame.key, node, frame.number, now)
                answer.number = lease.fence if lease is not None else 0
            case "release":
                table.release(Fenced(frame.key, int(frame.number)))
            case "clear":
                table.clear(frame.node)
        if frame.id and node in self._workers:
            self._workers[node](pack(answer))

    def _send_entries(self, node: str, question: int, entries: list[Entry]) -> None:
        """Send entries in frames of a bounded size; the last one has the number 1."""
        send = self._workers.get(node)
        if send is None:
            return
        piece: list[Entry] = []
        size = 0
        for entry in entries:
            weight = len(entry.value) + len(entry.key) + len(entry.node) + 32
            if piece and size + weight > PIECE:
                send(pack(Frame("done", question, entries=piece)))
                piece, size = [], 0
            piece.append(entry)
            size += weight
        send(pack(Frame("done", question, entries=piece, number=1)))

    def _tell_nodes(self) -> None:
        frame = pack(Frame("nodes", names=self.nodes))
        for send in list(self._workers.values()):
            send(frame)


PIECE = 98_304
"""Octets of entries in one frame."""
