"""The upload of recordings as a part of the switch: made where the settings name a storage."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from aiohttp import web

from softswitch.settings import Settings
from softswitch.store.database_store import DatabaseStore
from softswitch.switch.resources import Resources
from softswitch.switch.uploads.bucket import Bucket
from softswitch.switch.uploads.remover import Remover
from softswitch.switch.uploads.uploader import Uploader
from softswitch.web.keys import READINESS


def attach_uploads(
    app: web.Application,
    settings: Settings,
    store: DatabaseStore,
    resources: Resources,
    *,
    is_shared: bool,
    in_use: Callable[[str], bool],
) -> None:
    """Have finished recordings uploaded while the application runs, if the settings want it.

    Objects of recordings that are deleted here are deleted there, if the settings want that.

    Args:
        app: The application; its readiness is there already.
        settings: The section [upload].
        store: Keeps recordings.
        resources: Egress client and metrics.
        is_shared: Whether other workers of this machine have the same folder.
        in_use: Tells whether the file of a call's recording is still needed here.

    Raises:
        SettingsError: The extra [s3] is not installed.
    """
    if not settings.upload.endpoint:
        return
    bucket = Bucket(settings.upload, resources.egress)
    remover = Remover(bucket, store, resources.metrics) if settings.upload.delete_objects else None
    uploader = Uploader(
        bucket,
        store,
        resources.metrics,
        delete_local=settings.upload.delete_local,
        is_shared=is_shared,
        on_orphan=remover.wake if remover is not None else None,
        in_use=in_use,
    )
    store.on_recording = uploader.add
    app[READINESS].warn(uploader.warnings)
    if remover is not None:
        store.on_removal = remover.wake
        app[READINESS].warn(remover.warnings)

    async def running(_: web.Application) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(uploader.run(), name="uploads")]
        if remover is not None:
            tasks.append(loop.create_task(remover.run(), name="removals"))
        yield
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    app.cleanup_ctx.append(running)
