"""The pages of the descriptions, and the documents themselves."""

import msgspec
from aiohttp import web

from softswitch.settings import static_root
from softswitch.web.docs import interfaces
from softswitch.web.keys import DESCRIBED

_PAGE = {"Cache-Control": "no-cache"}


async def page(request: web.Request) -> web.FileResponse:
    """Serve ``GET /docs`` and ``GET /docs/ws``: a page that shows one of the documents."""
    return web.FileResponse(static_root() / "docs" / "index.html", headers=_PAGE)


async def openapi(request: web.Request) -> web.Response:
    """Serve ``GET /docs/openapi.json``."""
    return _json(interfaces.rest(request.app[DESCRIBED]))


async def asyncapi(request: web.Request) -> web.Response:
    """Serve ``GET /docs/asyncapi.json``."""
    return _json(interfaces.sockets())


def _json(document: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(document), content_type="application/json", headers=_PAGE)
