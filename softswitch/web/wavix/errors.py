"""Errors of requests to the call control, in the form that its clients expect."""

import logging
from typing import Final

from aiohttp import web

from softswitch.call.vocabulary.rejection import CommandRejected
from softswitch.dialects.wavix.fields import InvalidError
from softswitch.dialects.wavix.responses import failure
from softswitch.dialects.wording import words
from softswitch.errors import NotNowError, PeerError, UnavailableError
from softswitch.web.auth import Handler
from softswitch.web.errors import NOT_NOW, RETRY_AFTER_S

logger = logging.getLogger(__name__)

PREFIXES = ("/v1/call", "/v1/calls")
"""Prefixes of call control; each operation is there under both."""
_OURS = (*PREFIXES, "/v1/cdrs", "/v1/recordings")
_KEPT: Final = frozenset({400, 401, 403, 404, 405, 413})
"""Statuses after which clients do not repeat a request."""


def is_ours(path: str) -> bool:
    """Tell whether a path belongs to the call control."""
    return any(path == prefix or path.startswith(f"{prefix}/") for prefix in _OURS)


@web.middleware
async def answer_wavix_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer the exceptions of handlers of the call control; leave other paths alone."""
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
        return answer(_status(rejected.code), words(rejected.rejection))
    except PeerError as error:
        return answer(_status(error.code), str(error))
    except NotNowError as error:
        wait = str(max(1, round(error.retry_after_s)))
        return answer(503, str(error), headers={"Retry-After": wait})
    except UnavailableError as error:
        logger.warning("a request cannot be served now", extra={"path": request.path, "reason": str(error)})
        return answer(error.code, NOT_NOW, headers={"Retry-After": RETRY_AFTER_S})
    except (ConnectionError, TimeoutError):
        raise
    except Exception:
        logger.exception("a request failed", extra={"path": request.path})
        return answer(500, "Internal error")


def refuse(status: int, message: str) -> web.Response:
    """Return the answer to a client without valid credentials or scope."""
    return answer(status, message)


def answer(
    status: int,
    message: str,
    errors: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
) -> web.Response:
    """Return an error as a response."""
    body = failure(message, errors, unauthorized=status == 401)
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)


def _status(code: int) -> int:
    """Return the status of a refusal: 422 for those after which clients would repeat the request in vain."""
    return code if code in _KEPT else 422


def _summary(error: InvalidError) -> str:
    """Return the message of an invalid body: that of `stream_url`, else a general one."""
    only = next(iter(error.errors.values())) if len(error.errors) == 1 else ""
    return only if "stream_url" in error.errors and only.startswith("Stream URL") else "Validation error"
