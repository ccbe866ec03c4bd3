"""Let the listed web pages of other origins use the switch (Fetch standard, CORS protocol)."""

from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Middleware

from softswitch.web.auth import Authenticator

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Signal = Callable[[web.Request, web.StreamResponse], Awaitable[None]]
_ANSWER_S = 600


def welcome(authenticator: Authenticator) -> Signal:
    """Return the signal that tells a browser which page may read an answer (``on_response_prepare``)."""

    async def tell(request: web.Request, response: web.StreamResponse) -> None:
        origin = request.headers.get("Origin", "")
        response.headers.add("Vary", "Origin")
        if authenticator.lists(origin):
            response.headers["Access-Control-Allow-Origin"] = origin

    return tell


def preflight(authenticator: Authenticator) -> Middleware:
    """Return the middleware that answers a browser's question before it sends what it is asked to."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        asks = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
        if not asks or not authenticator.lists(request.headers.get("Origin", "")):
            return await handler(request)
        return web.Response(
            status=204,
            headers={
                "Access-Control-Allow-Methods": "GET, POST, PATCH, DELETE",
                "Access-Control-Allow-Headers": "Authorization, Content-Type",
                "Access-Control-Max-Age": str(_ANSWER_S),
            },
        )

    return answer
