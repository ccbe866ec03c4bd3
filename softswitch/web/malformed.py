"""Requests that are not HTTP: counted, logged in one line without a traceback, answered without versions."""

import logging
from collections.abc import Awaitable, Callable

from aiohttp import HttpVersion10, HttpVersion11, web, web_response
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_exceptions import HttpProcessingError

from softswitch.web.errors import SERVER


class Malformed(logging.Filter):
    """Takes what aiohttp logs about faults of clients, of which a stranger can cause any number."""

    def __init__(self) -> None:
        """Have counted nothing yet."""
        super().__init__()
        self.count = 0
        """Requests that could not be read, in this process."""

    def install(self) -> None:
        """Filter the records of aiohttp's server from now on; once is enough."""
        # aiohttp answers such requests itself, before any signal that could replace the header.
        vars(web_response)["SERVER_SOFTWARE"] = SERVER
        logging.getLogger("aiohttp.server").addFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Count and shorten a record about a client's fault; leave every other one as it is."""
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, (HttpProcessingError, web.RequestPayloadError)):
            return True
        self.count += 1
        record.exc_info = record.exc_text = None
        record.levelno, record.levelname = logging.DEBUG, "DEBUG"
        record.msg, record.args = "a request could not be read", ()
        record.error = " ".join(str(error).split())[:200]
        return logging.getLogger("aiohttp.server").isEnabledFor(logging.DEBUG)


MALFORMED = Malformed()
"""That of the process, as aiohttp's logger is."""


class _OtherVersion(web.Response):
    """The answer to a request of another version, in the one that is spoken; the connection ends with it."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Begin the answer.

        Uses one private member, ``BaseRequest._cache``: aiohttp 3.14 repeats its version in the status line.
        """
        request._cache["version"] = HttpVersion11  # noqa: SLF001
        self.force_close()
        return await super().prepare(request)


@web.middleware
async def refuse_versions(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer requests of other versions than HTTP/1.0 and 1.1 with 505 (RFC 9110 section 15.6.6).

    aiohttp's parsers let 0.9 and 2.0 pass; that in Python every version of two digits.
    """
    if request.version in (HttpVersion10, HttpVersion11):
        return await handler(request)
    MALFORMED.count += 1
    return _OtherVersion(status=505, text="only HTTP/1.0 and HTTP/1.1 are spoken")
