"""Certificates from an authority as a part of the switch: answers proofs, keeps the certificate valid."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

from softswitch import __version__
from softswitch.egress import EgressClient
from softswitch.errors import ListenError, SettingsError
from softswitch.metrics import Metrics
from softswitch.settings import Settings, listen_addresses, url_host
from softswitch.settings.acme import FOLDER
from softswitch.store.seal import NAME as SEAL_KEY
from softswitch.store.seal import Seal
from softswitch.tls.folder import CertificateFolder
from softswitch.tls.renewal import Renewal
from softswitch.web.keys import READINESS

PATH = "/.well-known/acme-challenge/"


def folder_of(settings: Settings) -> CertificateFolder:
    """Return the folder of the certificate."""
    root = settings.paths.root()
    key_file = settings.store.key_file
    return CertificateFolder(
        root / FOLDER, Seal(Path(key_file).expanduser() if key_file else root / SEAL_KEY)
    )


def attach_certificates(
    app: web.Application, settings: Settings, egress: EgressClient, metrics: Metrics
) -> None:
    """Answer proofs and keep the certificate valid while the application runs, if the settings want it.

    Args:
        app: The application; its readiness is there already.
        settings: The section [acme].
        egress: Sends requests to the authority.
        metrics: Counts orders.

    Raises:
        SettingsError: The extra [acme] is not installed.
    """
    if not settings.acme.domains:
        return
    try:
        # Its libraries are an extra.
        from softswitch.tls.authority import Authority  # noqa: PLC0415
    except ImportError as error:
        raise SettingsError(
            "acme is not installed: pip install softswitch[acme]", section="acme", key="domains"
        ) from error
    folder = folder_of(settings)
    authority = Authority(settings.acme, folder, egress, f"softswitch/{__version__}")
    renewal = Renewal(settings.acme, folder, authority, metrics)
    app[READINESS].warn(renewal.warnings)
    metrics.certificate_seconds_left.set_function(renewal.seconds_left)
    answer = _answering(folder)
    app.middlewares.insert(0, answer)

    async def running(_: web.Application) -> AsyncIterator[None]:
        def serve() -> contextlib.AbstractAsyncContextManager[None]:
            return _listening(settings, answer)

        task = asyncio.get_running_loop().create_task(renewal.run(serve), name="certificates")
        yield
        authority.stopping = True
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    app.cleanup_ctx.append(running)


def _answering(folder: CertificateFolder):  # type: ignore[no-untyped-def]  # noqa: ANN202 - aiohttp's own type is private
    """Return what answers the authority before anything else looks at a request (RFC 8555 section 8.3)."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method != "GET" or not request.path.startswith(PATH):
            return await handler(request)
        proof = await asyncio.to_thread(folder.proof, request.path.removeprefix(PATH))
        if proof is None:
            return web.Response(status=404, text="there is no such proof")
        return web.Response(text=proof, content_type="application/octet-stream", charset=None)

    return answer


@contextlib.asynccontextmanager
async def _listening(settings: Settings, answer: object) -> AsyncIterator[None]:
    """Listen for the authority during an order; raises ListenError."""
    port = settings.acme.port
    if not port or (port == settings.http.port and not settings.http.tls_cert):
        yield
        return
    application = web.Application(middlewares=[answer])  # type: ignore[list-item]
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        for address in listen_addresses(settings.http.host):
            try:
                await web.TCPSite(runner, address, port).start()
            except OSError as error:
                place = f"TCP {url_host(address)}:{port}"
                advice = "choose another with [acme] port, or 0 with a proxy in front"
                raise ListenError(error, place, advice, section="acme", key="port") from None
        yield
    finally:
        await runner.cleanup()
