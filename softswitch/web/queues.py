"""The route of the queues: who waits, and figures since the start."""

from aiohttp import web

from softswitch.call.authority import Principal, denial
from softswitch.switch.queues.line import Line
from softswitch.switch.queues.queues import Queues
from softswitch.web.auth import principal
from softswitch.web.keys import QUEUES
from softswitch.web.route import Route


async def list_queues(request: web.Request) -> web.Response:
    """Serve ``GET /queues``: the queues of the account, their users, callers and figures."""
    by, queues = principal(request), request.app[QUEUES]
    lines = queues.lines(None if by.administers else by.account)
    return web.json_response({"queues": [_shown(line, queues, by) for line in lines]})


def _shown(line: Line, queues: Queues, by: Principal) -> dict[str, object]:
    figures = line.figures
    mean_ms = figures.waited_ms / figures.answered if figures.answered else 0.0
    return {
        "name": line.queue.name,
        "users": list(line.queue.users),
        "free": [user for user in line.queue.users if queues.is_free(user)],
        "waiting": len(line.waiting),
        "callers": [
            {
                "id": caller.outer.id,
                "caller": caller.outer.call.option.caller,
                "ringing": caller.rung,
                "place": queues.place(line, caller),
            }
            for caller in line.waiting
            if denial(by, "see a call", caller.outer.target) is None
        ],
        "entered": figures.entered,
        "answered": figures.answered,
        "abandoned": figures.abandoned,
        "timedOut": figures.timed_out,
        "refused": figures.refused,
        "ringsMissed": figures.missed,
        "meanWaitMs": round(mean_ms),
        "longestWaitMs": figures.longest_ms,
    }


ROUTES = (Route("GET", "/queues", list_queues, "call"),)
