"""Every error of a request as JSON with the right status; what is our fault is logged and not told."""

import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from softswitch.errors import NotNowError, PeerError

logger = logging.getLogger(__name__)

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
    """Turn what a handler raises into an answer."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        headers = {name: error.headers[name] for name in ("Allow", "Retry-After") if name in error.headers}
        return answer(error.status, error.text or error.reason, headers)
    except PeerError as error:
        return answer(error.code, str(error))
    except NotNowError as error:
        return answer(error.code, str(error), {"Retry-After": str(max(1, round(error.retry_after_s)))})
    except (ConnectionError, TimeoutError):
        raise
    except Exception:
        logger.exception("a request failed", extra={"path": request.path})
        return answer(500, "internal error")


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add what keeps a browser from doing harm (an ``on_response_prepare`` signal)."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)


def answer(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    """Return an error as JSON."""
    return web.json_response({"error": {"code": status, "message": message}}, status=status, headers=headers)
