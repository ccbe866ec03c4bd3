"""Errors of requests as JSON with the right status; a fault of the switch is logged, not sent."""

import contextlib
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web

from softswitch.errors import NotNowError, PeerError, UnavailableError

logger = logging.getLogger(__name__)

SERVER = "softswitch"
"""Value of the `Server` header; aiohttp would name its own version and that of Python."""
NOT_NOW = "a part of the switch is not available now: try again later"
RETRY_AFTER_S = "5"
"""As often as the store is probed."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; connect-src 'self' ws: wss:; media-src 'self' blob: mediastream:;"
        " img-src 'self' data:;"
        " object-src 'none'; base-uri 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "microphone=(self), speaker-selection=(self)",
}


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer the exceptions of handlers."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        headers = {name: error.headers[name] for name in ("Allow", "Retry-After") if name in error.headers}
        return answer(error.status, error.text or error.reason, headers, request.path)
    except PeerError as error:
        return answer(error.code, str(error), path=request.path)
    except NotNowError as error:
        wait = {"Retry-After": str(max(1, round(error.retry_after_s)))}
        return answer(error.code, str(error), wait, request.path)
    except UnavailableError as error:
        logger.warning("a request cannot be served now", extra={"path": request.path, "reason": str(error)})
        return answer(error.code, NOT_NOW, {"Retry-After": RETRY_AFTER_S}, request.path)
    except (ConnectionError, TimeoutError):
        raise
    except Exception:
        logger.exception("a request failed", extra={"path": request.path})
        return answer(500, "internal error", path=request.path)


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add headers that protect browsers, and name no versions (an ``on_response_prepare`` signal)."""
    response.headers["Server"] = SERVER
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)


def answer(status: int, message: str, headers: dict[str, str] | None = None, path: str = "") -> web.Response:
    """Return an error as JSON.

    Args:
        status: The status.
        message: What is wrong.
        headers: Further headers.
        path: Path of the request: the rooms API has texts for codes, every other one numbers.
    """
    code: int | str = status
    if path.startswith("/api/"):
        with contextlib.suppress(ValueError):
            code = HTTPStatus(status).name
    return web.json_response({"error": {"code": code, "message": message}}, status=status, headers=headers)
