"""The switch itself, on loopback: in a thread of this process, or as a process of its own."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import msgspec
import numpy as np
from aiohttp import web

from softswitch.app import SWITCH, build
from softswitch.app.serve import runner_of
from softswitch.settings import Settings
from tests.support.client import Client
from tests.support.ports import free_port
from tests.support.sound import Pcm
from tests.support.webrtc import RtcClient

Result = TypeVar("Result")

START_S = 60.0
"""How long a switch may take to start on a loaded machine."""

Sections = Mapping[str, Any]
"""What a settings file says: tables by name, and lists of tables such as `trunk`."""


def settings(folder: Path, sections: Sections | None = None) -> Settings:
    """Return settings for a switch of a test.

    Args:
        folder: its data folder.
        sections: what is to be different, as in the file.
    """
    base: dict[str, Any] = {
        "http": {"host": "127.0.0.1", "port": 0},
        "paths": {"data": str(folder)},
        "ice": {"host_addresses": ["127.0.0.1"]},
        "egress": {"allow": ["127.0.0.0/8"]},
        # Models are loaded by the tests that speak or listen; loading them costs seconds of a core.
        "speech": {"workers": 1, "preload": False},
        "sip": {"port": 0},
        # A machine that runs tests is late for many reasons; tests of overload switch this on.
        "limits": {"overload": False},
    }
    for name, section in (sections or {}).items():
        base[name] = section if isinstance(section, list) else base.get(name, {}) | dict(section)
    return msgspec.convert(base, Settings)


class Places:
    """The addresses of a running switch."""

    def __init__(
        self, port: int, data: Path, query: Mapping[str, str] | None = None, host: str = "127.0.0.1"
    ) -> None:
        self.host = host
        self.port = port
        self.data = data
        self._query = dict(query or {})

    def url(self, path: str, **query: object) -> str:
        """Return an http URL."""
        return self._place("http", path, query)

    def socket_url(self, path: str, **query: object) -> str:
        """Return a ws URL."""
        return self._place("ws", path, query)

    def _place(self, scheme: str, path: str, query: Mapping[str, object]) -> str:
        words = urlencode({**self._query, **{name: str(value) for name, value in query.items()}})
        return f"{scheme}://{self.host}:{self.port}{path}" + (f"?{words}" if words else "")

    def client(self, path: str = "/call", **query: object) -> Client:
        """Return a client that is not connected yet."""
        return Client(self.socket_url(path, **query))

    def dump(self, call_id: str) -> list[dict[str, Any]]:
        """Return the lines of a call's dump."""
        path = self.data / "dumps" / f"{call_id}.jsonl"
        return (
            [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            if path.exists()
            else []
        )


class Switch(Places):
    """A running switch and shorthands to use it."""

    _spoken: ClassVar[dict[str, Pcm]] = {}

    def rtc(self, **query: object) -> RtcClient:
        """Return a client of `/call/webrtc`."""
        return RtcClient(self.socket_url("/call/webrtc", **query))

    def phone(self, path: str = "/call", **query: object) -> Client:
        """Return a client that fits a route; it has `call()` on both."""
        if path == "/call/webrtc":
            return self.rtc(**query)
        return self.client(path, **query)

    async def dumped(self, call_id: str, word: str, seconds: float = 15.0) -> list[dict[str, Any]]:
        """Wait until a call's dump has a word, and return its lines."""
        try:
            async with asyncio.timeout(seconds):
                while word not in json.dumps(self.dump(call_id)):
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"the dump of {call_id} has no {word!r}: {self.dump(call_id)}") from None
        return self.dump(call_id)

    async def spoken(self, text: str) -> Pcm:
        """Return a text as the switch itself speaks it, 16 kHz, silence cut away; each text is made once."""
        if text not in self._spoken:
            async with self.client() as client:
                await client.invite(vad=False)
                await client.send("tts", text=text, playId="spoken", endOfStream=True)
                await client.wait("trackEnd", lambda event: event.get("playId") == "spoken", timeout=60)
                self._spoken[text] = _trimmed(client.heard())
        return self._spoken[text]


def _trimmed(pcm: Pcm) -> Pcm:
    loud = np.flatnonzero(np.abs(pcm.astype(np.int32)) > 200)
    return pcm[loud[0] : loud[-1]] if loud.size else pcm


class Faults(logging.Handler):
    """Keep what switches write at the level of errors; all those of this process share one logger."""

    _all: ClassVar["list[Faults]"] = []

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []
        self._all.append(self)

    @classmethod
    def forgive(cls, words: str) -> None:
        """Forget the lines with some words: a test caused them."""
        for faults in cls._all:
            faults.lines = [line for line in faults.lines if words not in line]

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line, with its traceback."""
        self.lines.append(logging.Formatter("%(name)s: %(message)s").format(record))


class SwitchThread(Switch):
    """A switch in a thread of this process, with an event loop of its own."""

    def __init__(
        self,
        data: Path,
        sections: Sections | None = None,
        query: Mapping[str, str] | None = None,
        *,
        host: str = "127.0.0.1",
        loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
    ) -> None:
        super().__init__(0, data, query, host)
        self._loop_factory = loop_factory
        self.settings = settings(data, sections)
        self.faults = Faults()
        self.app: web.Application | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._started = threading.Event()
        self._stopping: asyncio.Event | None = None
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop; what was written meanwhile may be of other tests, which have checked it."""
        self.stop()

    def start(self) -> None:
        """Start, and wait until it serves."""
        logging.getLogger("softswitch").addHandler(self.faults)
        self._thread = threading.Thread(target=self._run, name="switch under test")
        self._thread.start()
        assert self._started.wait(START_S), "the switch does not start"
        if self._failure is not None:
            self._thread.join()
            raise self._failure

    def stop(self) -> None:
        """Stop, and wait until it has; a second time does nothing."""
        thread, self._thread = self._thread, None
        if thread is None or self._loop is None or self._stopping is None:
            return
        self._loop.call_soon_threadsafe(self._stopping.set)
        thread.join(START_S)
        assert not thread.is_alive(), "the switch does not stop"
        logging.getLogger("softswitch").removeHandler(self.faults)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=self._loop_factory) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        self._loop.set_exception_handler(self._unhandled)
        runner = None
        try:
            self.app = build(self.settings)
            runner = runner_of(self.app, access_log=None, shutdown_timeout=2.0)
            await runner.setup()
            await web.TCPSite(runner, self.host, 0, backlog=1024).start()
            self.port = runner.addresses[0][1]
        except BaseException as error:  # noqa: BLE001 - the starter gets the error
            self._failure = error
        self._started.set()
        if self._failure is None and self.app is not None:
            await self._stopping.wait()
            await self.app[SWITCH].drain(self.settings.limits.drain_s if self.calls_now() else 0)
        if runner is not None:
            await runner.cleanup()

    def _unhandled(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.faults.lines.append(f"unhandled: {context.get('message')} {context.get('exception')!r}")

    def routes(self) -> int:
        """Return how many ids the engine's output is routed by."""
        return len(self.app[SWITCH].resources.routes) if self.app is not None else 0

    def calls_now(self) -> int:
        """Return how many calls are live."""
        return len(self.app[SWITCH]) if self.app is not None else 0

    calls = calls_now

    def inside(self, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """Run something on the switch's own loop and return its result."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work(), self._loop).result(START_S)

    @contextlib.contextmanager
    def breaking(self, call_id: str, method: str = "command") -> Iterator[None]:
        """Let a method of a call's core raise what nothing should raise."""
        assert self.app is not None
        conversation = self.app[SWITCH].find(call_id)
        assert conversation is not None

        def broken(*_: object) -> None:
            raise ZeroDivisionError("broken on purpose")

        setattr(conversation.call, method, broken)
        yield
        # What fails after the first failure is a part of it.
        Faults.forgive("broken on purpose")

    def check(self) -> None:
        """Make sure that nothing went wrong inside and no call is left."""
        end = time.monotonic() + 10
        while self._thread is not None and self.calls_now() and time.monotonic() < end:
            time.sleep(0.02)
        lines, self.faults.lines = self.faults.lines, []
        assert not lines, lines
        assert self._thread is None or not self.calls_now(), "a call outlived its test"


class SwitchProcess(Switch):
    """A switch as a process of its own, as an operator runs it."""

    def __init__(
        self,
        data: Path,
        environment: Mapping[str, str] | None = None,
        settings_text: str = "",
        *,
        program: Sequence[str] = ("-m", "softswitch"),
    ) -> None:
        """Prepare one.

        Args:
            data: Its data folder.
            environment: Settings as environment variables.
            settings_text: What its settings file says (TOML).
            program: Arguments of Python that start it.
        """
        port = free_port()
        super().__init__(port, data)
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SOFTSWITCH_")},
            "SOFTSWITCH_HTTP_PORT": str(port),
            "SOFTSWITCH_PATHS_DATA": str(data),
            "SOFTSWITCH_ICE_HOST_ADDRESSES": "127.0.0.1",
            "SOFTSWITCH_SPEECH_WORKERS": "1",
            "SOFTSWITCH_SPEECH_PRELOAD": "false",  # as in `settings`
            "SOFTSWITCH_LOG_FORMAT": "json",
            **({} if settings_text else {"SOFTSWITCH_SIP_PORT": "0"}),
            "SOFTSWITCH_LIMITS_OVERLOAD": "false",  # as in `settings`
            **(environment or {}),
        }
        self._program = program
        self._log = data.parent / f"{data.name}.log"
        self._arguments: list[str] = []
        if settings_text:
            file = data.parent / f"{data.name}.toml"
            file.write_text(settings_text, encoding="utf-8")
            self._arguments = ["serve", "--config", str(file)]

    def __enter__(self) -> Self:
        """Start, and wait until it is ready."""
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self._program, *self._arguments],
                env=self._environment,
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + START_S
        while not self._ready():
            assert self.process.poll() is None, self.output()
            assert time.monotonic() < end, self.output()
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        """End it, however it is."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(START_S)

    def _ready(self) -> bool:
        try:
            with urlopen(self.url("/readyz"), timeout=5) as response:
                return bool(response.status == 200)
        except (URLError, ConnectionError, TimeoutError):
            return False

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.process.send_signal(signal.SIGTERM)

    def tracebacks(self) -> list[str]:
        """Return the lines that report something unexpected."""
        return [line for line in self.output().splitlines() if "Traceback" in line]

    def output(self) -> str:
        """Return everything it wrote."""
        return self._log.read_text(encoding="utf-8", errors="replace")
