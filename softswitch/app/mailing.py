"""E-mail of voicemail as a part of the switch."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from aiohttp import web

from softswitch.switch.resources import Resources
from softswitch.switch.voicemail.mails import Mails
from softswitch.switch.voicemail.voicemail import Voicemail
from softswitch.web.keys import READINESS


def attach_mails(app: web.Application, voicemail: Voicemail, resources: Resources, *, alone: bool) -> Mails:
    """Have messages of voicemail sent by e-mail while the application runs, if the settings name a server.

    Args:
        app: The application; its readiness is there already.
        voicemail: Has the messages.
        resources: Settings, store, egress client and metrics.
        alone: No other process shares the database.
    """
    mails = Mails(resources, voicemail.mailboxes, alone=alone)
    resources.metrics.register(mails.figures)
    if not resources.settings.mail.server:
        return mails
    voicemail.on_message = mails.add
    app[READINESS].warn(mails.warnings)

    async def running(_: web.Application) -> AsyncIterator[None]:
        task = asyncio.get_running_loop().create_task(mails.run(), name="mails")
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    app.cleanup_ctx.append(running)
    return mails
