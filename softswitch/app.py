"""The composition root: builds the house from the settings and runs it."""

import asyncio
import gc
import logging
import signal
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable
from functools import partial

from aiohttp import web

from softswitch import __version__
from softswitch.call.needs import IncomingCall
from softswitch.egress.http import Door
from softswitch.endpoints.audio_source import decode
from softswitch.endpoints.local import local_dialers
from softswitch.endpoints.stream_client import StreamClients, StreamTerms
from softswitch.endpoints.telephones import Telephones
from softswitch.endpoints.webrtc import WebRtcEndpoints
from softswitch.errors import SettingsError
from softswitch.media.engine import Engine
from softswitch.media.messages import Output
from softswitch.metrics import Metrics, Reading, readings
from softswitch.settings import Settings, is_loopback
from softswitch.speech.denoise import Denoiser
from softswitch.speech.provider import Providers
from softswitch.store.postgres import PostgresStore
from softswitch.store.sqlite import SqliteStore
from softswitch.switch.incoming import Incoming
from softswitch.switch.resources import Resources
from softswitch.switch.rooms import Rooms
from softswitch.switch.routes import Routes
from softswitch.switch.switch import Switch
from softswitch.switch.webhooks import Webhooks
from softswitch.web.application import make_application
from softswitch.web.auth import Gate
from softswitch.web.keys import DRAIN, LINES, READINESS, ROOMS, SETTINGS, SIP, SWITCH, WEBHOOKS, WEBRTC
from softswitch.web.readiness import Readiness

logger = logging.getLogger(__name__)

SWITCH_INTERVAL_S = 0.0001
"""How long the interpreter lets one thread run: media and signalling share it."""
SWEEP_S = 3600.0
SHUTDOWN_S = 2.0
Notify = Callable[..., object]


def build(settings: Settings) -> web.Application:
    """Build the switch as an aiohttp application; its parts start and stop with it."""
    metrics = Metrics(__version__)
    providers = Providers(settings.speech)
    engine = Engine(vads=providers.vads(), denoiser=Denoiser)
    routes = Routes()
    webrtc = WebRtcEndpoints(
        engine,
        settings.ice,
        loopback=is_loopback(settings.http.host),
        ports=(settings.rtp.port_min, settings.rtp.port_max),
        external_ip=settings.rtp.external_ip,
    )

    def take(call: IncomingCall) -> None:
        incoming(call)

    telephones = Telephones(settings, engine, take, routes.frames) if settings.sip.enabled else None
    door = Door(
        settings.egress.allow,
        max_bytes=settings.egress.max_bytes,
        timeout_s=settings.egress.timeout_s,
        ca_file=settings.egress.ca_file,
    )
    written = {route.to.removeprefix("stream:") for route in settings.route}
    terms = StreamTerms(
        secret=settings.wavix.stream_secret,
        ticks=settings.wavix.timestamp == "rtp",
        trusted=written.__contains__,
    )
    streams = StreamClients(door, terms)
    resources = Resources(
        settings=settings,
        engine=engine,
        routes=routes,
        providers=providers,
        store=_store(settings),
        door=door,
        metrics=metrics,
        open_audio=decode,
        dialers=local_dialers(engine, routes.frames),
        streams=streams,
        telephones=telephones,
    )
    switch = Switch(resources)
    rooms = Rooms(switch, webrtc)
    resources.dialers = {**resources.dialers, "room": rooms}
    webhooks = Webhooks(resources)
    switch.followers.append(webhooks.follow)
    incoming = Incoming(switch, [webhooks])
    readiness = Readiness(metrics)
    readiness.check("store", lambda: resources.store.healthy)
    readiness.check("draining", lambda: not switch.draining)
    app = make_application(Gate(settings.auth, metrics), max_body=settings.limits.message_bytes)
    app[SETTINGS] = settings
    app[SWITCH] = switch
    app[ROOMS] = rooms
    app.on_shutdown.append(_close_rooms)
    app[LINES] = {}
    app[WEBRTC] = webrtc
    app[SIP] = telephones
    app[WEBHOOKS] = webhooks
    app[READINESS] = readiness
    app[DRAIN] = lambda: None
    _export(metrics, engine, resources, webrtc, telephones)
    metrics.register(lambda: readings("rooms", rooms.numbers(), "gauge"))
    metrics.register(lambda: [*_of_streams(streams), *readings("webhook", webhooks.numbers())])
    app.cleanup_ctx.append(_running(engine, routes, webrtc, telephones))
    return app


def _store(settings: Settings) -> SqliteStore:
    make = partial(PostgresStore, url=settings.store.postgres) if settings.store.postgres else SqliteStore
    return make(
        settings.paths.root(),
        recordings=settings.recording.folder,
        quota_bytes=settings.recording.quota_mb * 1_000_000,
        retention_days=settings.recording.retention_days,
        dump_bytes=settings.limits.dump_bytes,
    )


def _running(
    engine: Engine, routes: Routes, webrtc: WebRtcEndpoints, telephones: Telephones | None
) -> Callable[[web.Application], AsyncIterator[None]]:
    """Return what starts and stops the parts, in order (an aiohttp cleanup context)."""

    async def running(app: web.Application) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        switch = app[SWITCH]
        resources = switch.resources
        await resources.store.start()
        await app[WEBHOOKS].start()
        await app[ROOMS].start()
        await resources.providers.start()

        def deliver(output: Output) -> None:
            for port, datagram in output.datagrams:
                webrtc.send(port, datagram)
                if telephones is not None:
                    telephones.send(port, datagram)
            routes.deliver(output)

        def emit(output: Output) -> None:
            loop.call_soon_threadsafe(deliver, output)

        engine.start(emit)
        if telephones is not None:
            await telephones.start()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(app[READINESS].run()), group.create_task(_sweep(resources))]
            yield
            await app[ROOMS].stop()
            switch.end_all()
            await switch.drain(0)
            for task in tasks:
                task.cancel()
        if telephones is not None:
            await telephones.stop()
        engine.stop()
        await resources.providers.close()
        await app[WEBHOOKS].close()
        await resources.store.close()

    return running


async def _close_rooms(app: web.Application) -> None:
    """Tell everybody in rooms while their sockets are still there (an ``on_shutdown`` signal)."""
    await app[ROOMS].stop()


async def _sweep(resources: Resources) -> None:
    """Delete what has outlived its time, once an hour."""
    while True:
        await resources.store.sweep(int(time.time() * 1000))
        await asyncio.sleep(SWEEP_S)


def _export(
    metrics: Metrics,
    engine: Engine,
    resources: Resources,
    webrtc: WebRtcEndpoints,
    telephones: Telephones | None,
) -> None:
    """Let scrapes read the plain numbers of the floors."""

    def read() -> list[Reading]:
        store, door = resources.store.counters, resources.door.counters
        ticks = engine.tick_seconds
        return [
            *readings("media", engine.counters),
            *readings("rtp", engine.rtp_counters),
            *readings("store", {name: getattr(store, name) for name in store.__slots__}),
            *readings("speech", resources.providers.counters()),
            *readings("egress", {name: getattr(door, name) for name in door.__slots__}),
            Reading("media_tick_seconds", ticks.sum, "histogram", buckets=ticks.buckets()),
            *readings("webrtc", webrtc.numbers()),
            Reading("webrtc_legs", webrtc.legs, "gauge"),
            *(readings("sip", telephones.numbers()) if telephones is not None else ()),
            *(readings("sip", telephones.gauges(), "gauge") if telephones is not None else ()),
            Reading("speech_recognitions", resources.recognitions, "gauge"),
            Reading("media_relaying_ports", engine.relaying, "gauge"),
            Reading("routes", len(resources.routes), "gauge"),
        ]

    metrics.register(read)


def _of_streams(streams: StreamClients) -> list[Reading]:
    return [*readings("stream", streams.numbers()), Reading("streams", streams.counters.open, "gauge")]


def run(settings: Settings, notify: Notify = lambda *states: None) -> None:
    """Serve until told to end; the first SIGTERM lets running calls finish, the second does not."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    settings.check_bind()
    with asyncio.Runner(loop_factory=_loop_factory(settings.http.loop)) as runner:
        runner.run(_serve(settings, notify))


def _loop_factory(wish: str) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes the event loop: uvloop where it is wanted and there, else the standard one."""
    if wish == "asyncio":
        return None
    try:
        import uvloop  # noqa: PLC0415  (an extra)
    except ImportError as error:
        if wish == "uvloop":
            raise SettingsError(
                "uvloop is not installed: pip install softswitch[uvloop]", section="http", key="loop"
            ) from error
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


async def _serve(settings: Settings, notify: Notify) -> None:
    app = build(settings)
    runner = web.AppRunner(
        app, keepalive_timeout=settings.limits.keepalive_s, shutdown_timeout=SHUTDOWN_S, access_log=None
    )
    ending, hurry = asyncio.Event(), asyncio.Event()

    def asked() -> None:
        (hurry if ending.is_set() else ending).set()

    app[DRAIN] = ending.set
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked)
    await runner.setup()
    http = settings.http
    site = web.TCPSite(runner, http.host, http.port, ssl_context=_tls(settings), backlog=1024)
    await site.start()
    gc.collect()
    gc.freeze()
    scheme = "https" if http.tls_cert else "http"
    port = runner.addresses[0][1] if runner.addresses else http.port
    logger.info("serving", extra={"url": f"{scheme}://{http.host}:{port}"})
    notify("READY=1")
    await ending.wait()
    notify("STOPPING=1")
    logger.info("draining", extra={"calls": len(app[SWITCH])})
    app[SWITCH].draining = True
    if telephones := app[SIP]:
        await telephones.drain()
    await _drain(app[SWITCH], app[ROOMS], settings.limits.drain_s, hurry)
    await runner.cleanup()


async def _drain(switch: Switch, rooms: Rooms, seconds: float, hurry: asyncio.Event) -> None:
    """Wait for running calls and rooms, for the bound, or for the second signal."""
    draining = asyncio.ensure_future(_let_finish(switch, rooms, seconds))
    hurried = asyncio.ensure_future(hurry.wait())
    await asyncio.wait({draining, hurried}, return_when=asyncio.FIRST_COMPLETED)
    hurried.cancel()
    if not draining.done():
        draining.cancel()
        switch.end_all()


async def _let_finish(switch: Switch, rooms: Rooms, seconds: float) -> None:
    await asyncio.gather(rooms.drain(seconds), switch.drain(seconds))


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if not settings.http.tls_cert:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(settings.http.tls_cert, settings.http.tls_key)
    return context
