"""A bot for Wavix's call streaming: says back what it hears, one second later.

python examples/wavix_echo_bot.py [port]   then start a stream with "stream_url": "ws://127.0.0.1:9000/"
"""

import collections
import json
import sys

from aiohttp import WSMsgType, web

DELAY_FRAMES = 50


async def stream(request: web.Request) -> web.WebSocketResponse:
    """Serve one stream of one call."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    heard: collections.deque[str] = collections.deque()
    async for message in socket:
        if message.type is not WSMsgType.TEXT:
            continue
        event = json.loads(message.data)
        if event["event"] == "media":
            heard.append(event["media"]["payload"])
            if len(heard) > DELAY_FRAMES:
                await socket.send_json({"event": "media", "media": {"payload": heard.popleft()}})
        else:
            print(event)
    return socket


if __name__ == "__main__":
    app = web.Application()
    app.router.add_get("/{path:.*}", stream)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]) if len(sys.argv) > 1 else 9000)
