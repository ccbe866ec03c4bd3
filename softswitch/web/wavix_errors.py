"""Everything that is wrong with a request to the call control, as its clients expect it (wire-wavix §1)."""

import logging
from typing import Final

from aiohttp import web

from softswitch.call.commands import CommandRejected
from softswitch.dialects.wavix.fields import InvalidError
from softswitch.dialects.wavix.responses import failure
from softswitch.errors import NotNowError, PeerError
from softswitch.web.auth import Handler

logger = logging.getLogger(__name__)

PREFIXES = ("/v1/call", "/v1/calls")
_KEPT: Final = frozenset({400, 401, 403, 404, 405, 413})
"""Statuses that no client repeats a request for."""


def is_ours(path: str) -> bool:
    """Tell whether a path belongs to the call control."""
    return any(path == prefix or path.startswith(f"{prefix}/") for prefix in PREFIXES)


@web.middleware
async def answer_wavix_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what a handler of the call control raises into an answer; others go their own way."""
    if not is_ours(request.path):
        return await handler(request)
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        headers = {name: error.headers[name] for name in ("Allow", "Retry-After") if name in error.headers}
        return answer(error.status, error.reason, headers=headers)
    except InvalidError as error:
        return answer(400, _summary(error), error.errors)
    except CommandRejected as rejected:
        return answer(_status(rejected.code), rejected.error)
    except PeerError as error:
        return answer(_status(error.code), str(error))
    except NotNowError as error:
        wait = str(max(1, round(error.retry_after_s)))
        return answer(503, str(error), headers={"Retry-After": wait})
    except (ConnectionError, TimeoutError):
        raise
    except Exception:
        logger.exception("a request failed", extra={"path": request.path})
        return answer(500, "Internal error")


def refuse(status: int, message: str) -> web.Response:
    """Return the answer to somebody who may not."""
    return answer(status, message)


def answer(
    status: int,
    message: str,
    errors: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
) -> web.Response:
    """Return a refusal."""
    body = failure(message, errors, unauthorized=status == 401)
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)


def _status(code: int) -> int:
    """Return the status of a refusal: clients repeat a request for 408, 409, 429 and 5xx, in vain here."""
    return code if code in _KEPT else 422


def _summary(error: InvalidError) -> str:
    """Return the one thing that is wrong, where clients know its words; else that the body is."""
    only = next(iter(error.errors.values())) if len(error.errors) == 1 else ""
    return only if "stream_url" in error.errors and only.startswith("Stream URL") else "Validation error"
