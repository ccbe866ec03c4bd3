"""What the receptionist looks up: people and opening hours, by HTTP on loopback.

python examples/receptionist/directory.py [port]
"""

import sys

from aiohttp import web

ENTRIES = {
    "opening hours": "Monday to Friday, nine to five.",
    "smith": "Anna Smith, sales, extension 21, in until three.",
    "jones": "Peter Jones, workshop, extension 34, on leave.",
}


async def look_up(request: web.Request) -> web.Response:
    """Answer the tool `look_up`: every entry whose name is in the question."""
    question = str((await request.json())["arguments"].get("question", "")).lower()
    found = [text for name, text in ENTRIES.items() if name in question]
    return web.Response(text=" ".join(found) or "There is no such entry.")


if __name__ == "__main__":
    application = web.Application()
    application.router.add_post("/look_up", look_up)
    web.run_app(application, host="127.0.0.1", port=int(sys.argv[1]) if len(sys.argv) > 1 else 9001)
