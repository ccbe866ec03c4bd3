"""The supervisor: starts workers, watches, restarts and replaces them, and shares the host's sockets out."""

import asyncio
import gc
import itertools
import logging
import secrets
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from softswitch.bus.frames import Frame
from softswitch.bus.hub import Hub
from softswitch.bus.place import Place
from softswitch.errors import UnavailableError
from softswitch.legs.sip.transports.transports import listening
from softswitch.log.tasks import Tasks
from softswitch.settings import Settings, url_host
from softswitch.store.lock import FolderLock
from softswitch.store.node import this_node
from softswitch.supervisor.distribution import Distribution
from softswitch.supervisor.listener import Listener
from softswitch.supervisor.sip import SipSockets
from softswitch.supervisor.worker import Worker, environment

logger = logging.getLogger(__name__)

READY_S = 120.0
"""Longest start of a worker, in seconds."""
STEADY_S = 10.0
"""Life of a worker after which its end counts as a single fault, in seconds: it is started anew at once."""
LONGEST_BACKOFF_S = 30.0
WATCH_S = 1.0
"""Period of the look at the workers, in seconds."""
LAST_S = 15.0
"""Longest wait for workers after they were told twice to end, in seconds; then they are killed."""
Notify = Callable[..., object]


class Supervisor:
    """Parent of the workers of one host; everything belongs to its event loop."""

    def __init__(self, settings: Settings, notify: Notify, watchdog_s: float) -> None:
        """Prepare; `run` does everything.

        Args:
            settings: All of them.
            notify: Tells the service manager states such as READY=1.
            watchdog_s: It wants WATCHDOG=1 at least so often, seconds; 0: not at all.
        """
        self._settings = settings
        self._notify = notify
        self._watchdog_s = watchdog_s
        self._wanted = settings.server.count()
        self._numbers = itertools.count(1)
        self._workers: dict[int, Worker] = {}
        self._hub = Hub()
        self._distribution = Distribution(self._give_call, self._ready)
        self._sip = SipSockets(settings, self._distribution)
        self._listener = Listener(self._give_connection, lambda: self._started and bool(self._ready()))
        self._lock = FolderLock(settings.paths.root())
        self._host = ""
        self._run = Path()
        self._secret = settings.cluster.secret or secrets.token_hex(32)
        self._tasks = Tasks("supervisor")
        self._ending = asyncio.Event()
        self._hurry = asyncio.Event()
        self._restarting = self._started = False
        self._quick_ends = 0
        self.restarts = 0
        """Workers started in place of one that had died."""

    async def run(self) -> None:
        """Serve until told to end.

        Raises:
            UnavailableError: The data folder is in use, or no worker starts.
            ListenError: An address cannot be listened on.
        """
        loop = asyncio.get_running_loop()
        root = self._settings.paths.root()
        try:
            self._lock.acquire()
            self._host = self._settings.cluster.node or this_node(root).name
        except (OSError, UnavailableError) as error:
            raise UnavailableError(f"the data folder {root} cannot be used: {error}") from error
        self._run = Path(tempfile.mkdtemp(prefix="softswitch-"))
        for number, act in (
            (signal.SIGTERM, self._asked),
            (signal.SIGINT, self._asked),
            (signal.SIGUSR2, self.restart),
            (signal.SIGHUP, self.restart),
        ):
            loop.add_signal_handler(number, act)
        try:
            self._listener.open(self._settings.http)
            if self._settings.sip.enabled:
                await self._sip.start(listening(self._settings.sip))
            await self._start_all()
            await self._serve()
        finally:
            await self._end_all()
            self._listener.close()
            await self._sip.stop()
            shutil.rmtree(self._run, ignore_errors=True)
            self._lock.release()

    def restart(self) -> None:
        """Replace all workers one after the other; each new one accepts before its predecessor stops."""
        if self._restarting or self._ending.is_set():
            return
        self._restarting = True
        self._tasks.spawn(self._replace_all(), name="rolling restart")

    # --- life ---------------------------------------------------------------------------------

    async def _start_all(self) -> None:
        workers = [await self._start() for _ in range(self._wanted)]
        outcomes = await asyncio.gather(*(self._until_ready(worker) for worker in workers))
        if not all(outcomes) and not self._ending.is_set():
            raise UnavailableError("a worker does not start; its log tells why")
        http = self._settings.http
        scheme = "https" if http.tls_cert else "http"
        logger.info(
            "serving",
            extra={
                "url": f"{scheme}://{url_host(http.host)}:{self._listener.port}",
                "workers": self._wanted,
            },
        )
        self._started = True
        # What the start has made stays: the collector need not walk through it for every few datagrams.
        gc.collect()
        gc.freeze()
        self._notify("READY=1")

    async def _serve(self) -> None:
        watching = self._tasks.spawn(self._watch(), name="watch")
        await self._ending.wait()
        watching.cancel()
        self._notify("STOPPING=1")
        logger.info("draining", extra={"calls": sum(one.calls for one in self._workers.values())})

    async def _end_all(self) -> None:
        """Have all workers drain, and wait for them; a second request ends their calls."""
        self._ending.set()
        self._tell_all(signal.SIGTERM)
        ended = asyncio.ensure_future(self._until_empty())
        hurried = asyncio.ensure_future(self._hurry.wait())
        waits: set[asyncio.Future[Any]] = {ended, hurried}
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if not ended.done():
            self._tell_all(signal.SIGTERM)
            await asyncio.wait({ended}, timeout=LAST_S)
        if not ended.done():
            self._tell_all(signal.SIGKILL)
            await ended
        self._tasks.cancel()

    async def _until_empty(self) -> None:
        """Wait until all workers have ended, those included that are just being started."""
        while self._workers:
            await next(iter(self._workers.values())).ended.wait()

    def _tell_all(self, number: signal.Signals) -> None:
        for worker in self._workers.values():
            worker.signal(number)

    def _asked(self) -> None:
        (self._hurry if self._ending.is_set() else self._ending).set()

    async def _watch(self) -> None:
        """Feed the watchdog of the service manager while all workers live; kill those that are stuck."""
        fed = 0.0
        while True:
            serving = [one for one in self._workers.values() if one.state == "ready"]
            if self._watchdog_s and serving and all(one.alive for one in serving):
                now = time.monotonic()
                if now - fed >= self._watchdog_s / 3:
                    self._notify("WATCHDOG=1")
                    fed = now
            await asyncio.sleep(min(WATCH_S, self._watchdog_s / 4 or WATCH_S))

    # --- workers ------------------------------------------------------------------------------

    async def _start(self, *, is_replacement: bool = False) -> Worker:
        worker = Worker(next(self._numbers))
        worker.is_replacement = is_replacement
        self._workers[worker.number] = worker
        place = partial(self._place, worker.number)
        sip = partial(self._sip.packet, worker.number) if self._settings.sip.enabled else None
        node = place(-1, -1).node
        channel = await worker.start(place, partial(self._frame, worker, node), sip, environment())
        if channel is not None:
            self._sip.add(worker.number, channel)
        self._hub.add(node, lambda data: worker.control is not None and worker.control.send(data))
        self._tasks.spawn(self._follow(worker, node), name="worker")
        if self._ending.is_set():
            worker.signal(signal.SIGKILL)  # it has no calls yet
        return worker

    def _place(self, number: int, control: int, sip: int) -> Place:
        return Place(
            number=number,
            host=self._host,
            workers=self._wanted,
            control=control,
            sip=sip,
            sip_port=self._sip.transports.port,
            sip_tls_port=self._sip.transports.tls_port,
            http_port=self._listener.port,
            run=str(self._run),
            secret=self._secret,
        )

    async def _until_ready(self, worker: Worker) -> bool:
        """Wait until a worker takes calls; False where it ended or was too slow, and was killed."""
        waits = [asyncio.ensure_future(event.wait()) for event in (worker.ready, worker.ended)]
        await asyncio.wait(waits, timeout=READY_S, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if worker.state != "ready":
            worker.signal(signal.SIGKILL)
            return False
        return True

    async def _follow(self, worker: Worker, node: str) -> None:
        """Wait for the end of a worker; start another one where it was not told to end."""
        code = await worker.wait()
        died = worker.state in ("starting", "ready")
        worker.state = "gone"
        worker.ended.set()
        del self._workers[worker.number]
        self._sip.remove(worker.number)
        self._hub.remove(node)
        extra = {"worker": worker.number, "code": code}
        if not died or self._ending.is_set():
            logger.info("a worker has ended", extra=extra)
            return
        logger.error("a worker died", extra=extra)
        if not self._started or (worker.is_replacement and not worker.ready.is_set()):
            return
        lived = time.monotonic() - worker.started_at
        self._quick_ends = 0 if lived >= STEADY_S else self._quick_ends + 1
        if self._quick_ends > 1:
            await asyncio.sleep(min(2.0 ** (self._quick_ends - 2), LONGEST_BACKOFF_S))
        if not self._ending.is_set():
            self.restarts += 1
            await self._start()

    # --- rolling restart ----------------------------------------------------------------------

    async def _replace_all(self) -> None:
        try:
            for old in [one for one in self._workers.values() if one.state == "ready"]:
                new = await self._start(is_replacement=True)
                if not await self._until_ready(new):
                    logger.error("the restart is given up: a new worker does not start")
                    return
                if old.state == "ready":
                    old.state = "retiring"
                    old.tell(Frame("retire"))
            logger.info("all workers were replaced")
        finally:
            self._restarting = False

    # --- frames of workers --------------------------------------------------------------------

    def _frame(self, worker: Worker, node: str, data: bytes) -> None:
        frame = self._hub.receive(node, data)
        if frame is None:
            return
        match frame.kind:
            case "ready":
                if worker.state == "starting":
                    worker.state, worker.beat_at = "ready", time.monotonic()
                    worker.ready.set()
            case "load":
                worker.calls = int(frame.number)
                if frame.key:
                    worker.beat_at = time.monotonic()
            case "stopping":
                if worker.state == "ready":
                    worker.state = "retiring"
            case "heir":
                lost = frame.node.rpartition(".")[2]
                if lost.isdecimal():
                    self._distribution.inherit(int(lost), worker.number)
            case "drain":
                self._ending.set()
            case "restart":
                self.restart()
            case "figures":
                worker.tell(Frame("figures", frame.id, value=msgspec.json.encode(self.figures()), number=1))
            case _:
                logger.error("a frame of a worker is unknown", extra={"kind": frame.kind})

    def figures(self) -> dict[str, float]:
        """Return the numbers of the supervisor for /metrics, by name."""
        return {
            "workers_ready": len(self._ready()),
            "workers_restarted_total": self.restarts,
            "connections_accepted_total": self._listener.accepted,
            "connections_refused_total": self._listener.refused,
            "sip_homeless_total": self._sip.homeless,
            "sip_handed_over_dropped_total": self._sip.dropped,
            "sip_calls_remembered": len(self._distribution),
            "bus_frames_total": self._hub.messages,
            "bus_entries": len(self._hub.table),
            "bus_refused_total": self._hub.table.refused,
        }

    # --- shares -------------------------------------------------------------------------------

    def _ready(self) -> list[int]:
        return [number for number, worker in self._workers.items() if worker.state == "ready"]

    def _least_loaded(self) -> Worker | None:
        ready = (worker for worker in self._workers.values() if worker.state == "ready")
        return min(ready, key=lambda worker: worker.load, default=None)

    def _give_call(self) -> int:
        """Choose the worker of a new call."""
        worker = self._least_loaded()
        if worker is None:
            return 0
        worker.give()
        return worker.number

    def _give_connection(self, connection: socket.socket) -> bool:
        """Hand an HTTP connection to the least loaded worker."""
        worker = self._least_loaded()
        if worker is None:
            return False
        worker.give()
        return worker.tell(Frame("http"), [connection.fileno()])
