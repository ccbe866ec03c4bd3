"""A bot for Wavix's call streaming: plays ten seconds in five pieces with marks, and stops when spoken to.

python examples/wavix_marks_bot.py [port]   then start a stream with "stream_url": "ws://127.0.0.1:9000/"
"""

import base64
import json
import sys

import numpy as np
from aiohttp import WSMsgType, web

LOUD = 1500


async def stream(request: web.Request) -> web.WebSocketResponse:
    """Serve one stream of one call."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    speaking = True
    async for message in socket:
        if message.type is not WSMsgType.TEXT:
            continue
        event = json.loads(message.data)
        if event["event"] == "start":
            for number in range(5):
                tone = 6000 * np.sin(np.arange(48000) * 2 * np.pi * (300 + 100 * number) / 24000)
                payload = base64.b64encode(tone.astype("<i2").tobytes()).decode()
                await socket.send_json({"event": "media", "media": {"payload": payload}})
                await socket.send_json({"event": "mark", "mark": {"name": f"piece {number}"}})
        elif event["event"] == "media":
            pcm = np.frombuffer(base64.b64decode(event["media"]["payload"]), "<i2").astype(float)
            if speaking and np.sqrt(np.mean(pcm**2)) > LOUD:
                speaking = False
                print("interrupted")
                await socket.send_json({"event": "clear"})
        else:
            print(event)
    return socket


if __name__ == "__main__":
    app = web.Application()
    app.router.add_get("/{path:.*}", stream)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]) if len(sys.argv) > 1 else 9000)
