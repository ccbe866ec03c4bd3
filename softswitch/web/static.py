"""The demo page."""

from aiohttp import web

from softswitch.settings import static_root


async def index(request: web.Request) -> web.FileResponse:
    """Serve ``GET /``: the page."""
    return web.FileResponse(static_root() / "index.html", headers={"Cache-Control": "no-cache"})


async def revalidate(request: web.Request, response: web.StreamResponse) -> None:
    """Let browsers ask whether a file of the page has changed (an ``on_response_prepare`` signal)."""
    if request.path.startswith("/static/"):
        response.headers.setdefault("Cache-Control", "no-cache")
