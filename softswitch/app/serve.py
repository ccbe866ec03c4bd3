"""Runs the switch as a process: the event loop, the listener, signals, draining."""

import asyncio
import contextlib
import gc
import logging
import math
import signal
import ssl
import sys
from collections.abc import Callable, Coroutine
from functools import partial

import msgspec
from aiohttp import web

from softswitch.app.build import build
from softswitch.app.lifecycle import FAILED, ROOM_TABLE, SWITCH
from softswitch.app.membership import Membership, membership
from softswitch.app.memory import settle, trimmer
from softswitch.bus.place import Place
from softswitch.call.authority import OPERATOR
from softswitch.egress.loops import SelectorLoop, uvloop_factory
from softswitch.errors import ListenError, SettingsError, SoftswitchError, UnavailableError
from softswitch.log.tasks import spawn
from softswitch.settings import Settings, listen_addresses, url_host
from softswitch.switch.administration.administration import Author
from softswitch.switch.rooms.rooms import Rooms
from softswitch.switch.switch import Switch
from softswitch.tls.folder import prepare_certificates
from softswitch.tls.live import server_context
from softswitch.web.keys import ADMINISTRATION, CLUSTER, DRAIN, PROXIED, READINESS, RETIRING, SIP
from softswitch.web.proxy_protocol import ProxyRunner

logger = logging.getLogger(__name__)

SWITCH_INTERVAL_S = 0.0001
"""How long the interpreter lets one thread run, in seconds: media and signalling share it."""
GC_OBJECTS = 10_000
"""New objects after which the garbage collector looks for cycles among them. With Python's own 700 it took
five percent of the CPU under load, though nearly all objects of a call are freed without it."""
LINGER_S = 3.0
"""Time that a worker that retires stays after its last call, in seconds: long enough for clients to learn
that they are to connect anew, and for the second try of a call with credentials."""
SHUTDOWN_S = 2.0
"""Time that open HTTP connections have to end, in seconds."""
Notify = Callable[..., object]


def run(
    settings: Settings,
    notify: Notify = lambda *states: None,
    *,
    watchdog_s: float = 0.0,
    load: Callable[[], Settings] | None = None,
    place: Place | None = None,
) -> None:
    """Serve until told to end; the first SIGTERM lets running calls finish, the second does not.

    Args:
        settings: all of them.
        notify: tells the service manager states such as READY=1.
        watchdog_s: it wants WATCHDOG=1 at least so often, seconds; 0: not at all.
        load: reads the settings again at SIGHUP and `POST /admin/reload`.
        place: the place of this process among several workers; None: it is alone.

    Raises:
        UnavailableError: the media thread gave up; a new process is needed.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    settings.check_bind()
    prepare_certificates(settings)
    with asyncio.Runner(loop_factory=_loop_factory(settings.http.loop)) as runner:
        runner.run(_serve(settings, notify, watchdog_s, membership(settings, place), load))


def _loop_factory(wish: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """Return what makes the event loop: uvloop where it is wanted and there, else the standard one."""
    if wish == "asyncio":
        return SelectorLoop
    try:
        return uvloop_factory()
    except ImportError as error:
        if wish == "uvloop":
            raise SettingsError(
                "uvloop is not installed: pip install softswitch[uvloop]", section="http", key="loop"
            ) from error
        return SelectorLoop


async def _serve(
    settings: Settings,
    notify: Notify,
    watchdog_s: float,
    member: Membership | None,
    load: Callable[[], Settings] | None,
) -> None:
    app = build(settings, member, load)
    link = member.link if member is not None else None
    if watchdog_s:
        app[READINESS].watchdog(watchdog_s, partial(notify, "WATCHDOG=1"))
    runner = runner_of(
        app, keepalive_timeout=settings.limits.keepalive_s, shutdown_timeout=SHUTDOWN_S, access_log=None
    )
    ending, hurry = asyncio.Event(), asyncio.Event()

    def asked() -> None:
        (hurry if ending.is_set() else ending).set()

    app[DRAIN] = ending.set if link is None else link.drain_all
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked)
    await runner.setup()
    if link is None:
        loop.add_signal_handler(signal.SIGHUP, partial(_reload, app))
    await _serve_connections(runner, settings, member)
    if link is not None:
        link.retire = app[RETIRING].set
        link.orphaned = ending.set
        if link.is_orphan:
            ending.set()
    settle(trimmer())
    gc.set_threshold(GC_OBJECTS, *gc.get_threshold()[1:])
    if link is None:
        _log_place(runner, settings)
    else:
        link.ready(lambda: (len(app[SWITCH]), app[READINESS].vital()))
    notify("READY=1")
    await _first(ending.wait(), app[FAILED].wait(), app[RETIRING].wait())
    if app[RETIRING].is_set():
        await _retire(app, settings.limits.max_duration_s, ending, app[FAILED])
    notify("STOPPING=1")
    if app[FAILED].is_set():
        await app[SWITCH].end_all()
        await runner.cleanup()
        raise UnavailableError("the media thread gave up; the log tells why")
    logger.info("draining", extra={"calls": len(app[SWITCH])})
    if link is not None:
        link.stopping()
    app[SWITCH].draining = True
    if telephones := app[SIP]:
        await telephones.drain()
    await _drain(app[SWITCH], app[ROOM_TABLE], settings.limits.drain_s, hurry)
    await runner.cleanup()
    if link is not None:
        link.close()


async def _serve_connections(runner: web.AppRunner, settings: Settings, member: Membership | None) -> None:
    """Serve clients and other nodes; raises ListenError."""
    link = member.link if member is not None else None
    if member is not None and not (link is not None and link.is_orphan):
        await member.listen(runner)
    if link is None:
        await _listen(runner, settings)
    else:
        link.serve(runner, _tls(settings))


def _log_place(runner: web.AppRunner, settings: Settings) -> None:
    http = settings.http
    scheme = "https" if http.tls_cert else "http"
    port = runner.addresses[0][1] if runner.addresses else http.port
    logger.info("serving", extra={"url": f"{scheme}://{url_host(http.host)}:{port}"})


async def _retire(app: web.Application, most_s: float, ending: asyncio.Event, failed: asyncio.Event) -> None:
    """Wait for the last call, since another worker takes the place of this one; then it can drain.

    The supervisor hands over no new connection and no new Call-ID. What still comes is taken: a message that
    was on its way, the second try of a call with credentials, a request on a connection kept alive.

    Args:
        app: The application.
        most_s: Longest wait, in seconds.
        ending: Ends the wait: the whole switch drains.
        failed: Ends the wait: the media thread gave up.
    """
    logger.info("retiring", extra={"calls": len(app[SWITCH])})
    if (cluster := app[CLUSTER]) is not None and cluster.accounts is not None:
        await cluster.accounts.retire()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(most_s):
            await _first(_last_call(app[SWITCH], app[ROOM_TABLE]), ending.wait(), failed.wait())


async def _last_call(switch: Switch, rooms: Rooms) -> None:
    """Wait until no call and no participant of a room is here, and for some time none has come."""
    while True:
        await asyncio.gather(rooms.drain(math.inf), switch.idle())
        await asyncio.sleep(LINGER_S)
        if not len(switch) and not rooms.talking():
            return


async def _listen(runner: web.AppRunner, settings: Settings) -> None:
    """Listen for HTTP; raises ListenError."""
    http = settings.http
    for address in listen_addresses(http.host):
        site = web.TCPSite(runner, address, http.port, ssl_context=_tls(settings), backlog=1024)
        try:
            await site.start()
        except OSError as error:
            await runner.cleanup()
            place = f"TCP {url_host(address)}:{http.port}"
            raise ListenError(
                error, place, "choose another with --port or --host", section="http", key="port"
            ) from None


def runner_of(app: web.Application, **options: object) -> web.AppRunner:
    """Return the runner of the application, which reads PROXY headers where the settings say so."""
    proxied = app[PROXIED]
    if proxied is None:
        return web.AppRunner(app, **options)  # type: ignore[arg-type]
    return ProxyRunner(app, proxied, **options)


def _reload(app: web.Application) -> None:
    """Read the settings file again, in the background (SIGHUP)."""

    async def reload() -> None:
        try:
            await app[ADMINISTRATION].reload(Author(msgspec.structs.replace(OPERATOR, name="SIGHUP")))
        except SoftswitchError as error:
            logger.error("the settings were not read again", extra={"reason": str(error)})

    spawn(reload(), package="switch", name="reload")


async def _first(*waits: Coroutine[object, object, object]) -> None:
    """Wait for one of several, and cancel the others."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


async def _drain(switch: Switch, rooms: Rooms, seconds: float, hurry: asyncio.Event) -> None:
    """Wait for running calls and rooms, for the bound, or for the second signal."""
    draining = asyncio.ensure_future(_let_finish(switch, rooms, seconds))
    hurried = asyncio.ensure_future(hurry.wait())
    await asyncio.wait({draining, hurried}, return_when=asyncio.FIRST_COMPLETED)
    hurried.cancel()
    if not draining.done():
        draining.cancel()
        await switch.end_all()


async def _let_finish(switch: Switch, rooms: Rooms, seconds: float) -> None:
    await asyncio.gather(rooms.drain(seconds), switch.drain(seconds))


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if not settings.http.tls_cert:
        return None
    return server_context(settings.http.tls_cert, settings.http.tls_key)
