"""Starts and stops the parts of the switch in order, and the work that runs as long as it does."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor

from aiohttp import web

from softswitch.app.agents import Agents
from softswitch.app.memory import give_back, trimmer
from softswitch.legs.address_watch import AddressWatch
from softswitch.legs.telephones import Telephones
from softswitch.legs.webrtc.endpoints import WebRtcEndpoints
from softswitch.media.engine.engine import Engine
from softswitch.media.messages import Output
from softswitch.switch.notify.webhook_sender import WebhookSender
from softswitch.switch.resources import Resources
from softswitch.switch.rooms.rooms import Rooms
from softswitch.switch.switch import Switch
from softswitch.web.keys import ADMINISTRATION, CLUSTER, QUEUES, READINESS, TRANSCRIPTS, VOICEMAIL, WEBHOOKS

SWEEP_S = 3600.0
"""Time between two deletions of what is older than the settings keep it, in seconds."""
FILE_READERS = 8
"""Threads that read and serve files."""

SWITCH = web.AppKey("switch", Switch)
ROOM_TABLE = web.AppKey("room table", Rooms)
FAILED = web.AppKey("failed", asyncio.Event)
"""Set when the media thread has given up: the process ends, and its service manager starts it anew."""


def running_parts(
    engine: Engine,
    webrtc: WebRtcEndpoints,
    telephones: Telephones | None,
    sender: WebhookSender,
    agents: Agents,
    addresses: AddressWatch,
) -> Callable[[web.Application], AsyncIterator[None]]:
    """Return what starts and stops the parts, in order (an aiohttp cleanup context)."""

    async def running(app: web.Application) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        switch = app[SWITCH]
        resources = switch.resources
        await resources.store.start()
        await app[ADMINISTRATION].start()
        await app[WEBHOOKS].start()
        cluster = app[CLUSTER]
        table = app[ROOM_TABLE]
        await (table.start() if cluster is None or cluster.rooms is None else cluster.rooms.start())
        await resources.providers.start()

        def deliver(output: Output) -> None:
            for port, datagram in output.datagrams:
                webrtc.send(port, datagram)
                if telephones is not None:
                    telephones.send(port, datagram)
            for port, datagram, source in output.strays:
                webrtc.stray(port, datagram, source)
            resources.routes.deliver(output)

        def emit(output: Output) -> None:
            loop.call_soon_threadsafe(deliver, output)

        def died() -> None:
            loop.call_soon_threadsafe(app[FAILED].set)

        engine.start(emit, died)
        if telephones is not None:
            await telephones.start()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(app[READINESS].run()), group.create_task(_sweep(resources))]
            tasks.append(group.create_task(resources.pressure.run()))
            tasks.append(group.create_task(give_back(lambda: len(switch), trimmer())))
            tasks.append(group.create_task(addresses.run()))
            tasks.append(group.create_task(app[TRANSCRIPTS].run()))
            yield
            await app[ROOM_TABLE].stop()
            await switch.drain(0)
            await agents.stop()
            await app[QUEUES].stop()
            await app[VOICEMAIL].stop()
            for task in tasks:
                task.cancel()
        if telephones is not None:
            await telephones.stop()
        await webrtc.released()
        engine.stop()
        await resources.providers.close()
        await sender.close()
        await resources.store.close()

    return running


def threads(decoding: ThreadPoolExecutor) -> Callable[[web.Application], AsyncIterator[None]]:
    """Return what gives each kind of blocking work threads of its own (an aiohttp cleanup context).

    The loop's own are for files: a file that waits for a slow disk must not wait for what is decoded, too.
    Names are looked up without threads (docs/adr/0017).
    """

    async def running(app: web.Application) -> AsyncIterator[None]:
        files = ThreadPoolExecutor(FILE_READERS, thread_name_prefix="files")
        asyncio.get_running_loop().set_default_executor(files)
        yield
        decoding.shutdown(wait=False, cancel_futures=True)

    return running


async def close_rooms(app: web.Application) -> None:
    """Tell all participants of rooms while their sockets are still there (an ``on_shutdown`` signal)."""
    await app[ROOM_TABLE].stop()


async def _sweep(resources: Resources) -> None:
    """Delete what has outlived its time, once an hour."""
    while True:
        now_ms = int(time.time() * 1000)
        await resources.store.sweep(now_ms)
        for account in resources.settings.recording.account:
            if account.retention_days:
                await resources.store.forget(account.name, now_ms - int(account.retention_days * 86_400_000))
        await asyncio.sleep(SWEEP_S)
