"""A pipecat bot that echoes its caller: pipecat's serializers on a WebSocket that softswitch dials.

    pip install pipecat-ai aiohttp
    python examples/pipecat/echo_bot.py --protocol twilio

Start a stream to ws://127.0.0.1:9100/ with the same `protocol`. The key 0 clears what is still to be heard.
"""

import argparse
import json
from types import SimpleNamespace
from typing import Any

from aiohttp import WSMsgType, web
from pipecat.frames.frames import (
    InputAudioRawFrame,
    InputDTMFFrame,
    InterruptionFrame,
    OutputAudioRawFrame,
    OutputTransportMessageUrgentFrame,
)
from pipecat.serializers.base_serializer import FrameSerializer
from pipecat.serializers.exotel import ExotelFrameSerializer
from pipecat.serializers.genesys import GenesysAudioHookSerializer
from pipecat.serializers.plivo import PlivoFrameSerializer
from pipecat.serializers.telnyx import TelnyxFrameSerializer
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.serializers.vonage import VonageFrameSerializer

PROTOCOLS = ("twilio", "telnyx", "plivo", "exotel", "vonage", "audiohook")
RATE = 16000
"""Sample rate of the pipeline, Hz."""


def make_serializer(protocol: str, first: dict[str, Any]) -> FrameSerializer:
    """Return the serializer of a stream from its first message that has ids."""
    match protocol:
        case "twilio":
            params = TwilioFrameSerializer.InputParams(auto_hang_up=False)
            return TwilioFrameSerializer(first["streamSid"], first["start"]["callSid"], params=params)
        case "telnyx":
            telnyx = TelnyxFrameSerializer.InputParams(auto_hang_up=False)
            encoding = first["start"]["media_format"]["encoding"]
            return TelnyxFrameSerializer(first["stream_id"], encoding, encoding, params=telnyx)
        case "plivo":
            plivo = PlivoFrameSerializer.InputParams(auto_hang_up=False)
            return PlivoFrameSerializer(first["start"]["streamId"], params=plivo)
        case "exotel":
            return ExotelFrameSerializer(first["stream_sid"])
        case "audiohook":
            return GenesysAudioHookSerializer()
        case _:
            return VonageFrameSerializer()


async def serve(request: web.Request) -> web.WebSocketResponse:
    """Echo one stream."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    serializer: FrameSerializer | None = None
    async for message in socket:
        if serializer is None:
            first = json.loads(message.data)
            if first.get("event") == "connected":  # The ids stand in the next message.
                continue
            serializer = make_serializer(request.app["protocol"], first)
            await serializer.setup(SimpleNamespace(audio_in_sample_rate=RATE))
        if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
            continue
        frame = await serializer.deserialize(message.data)
        if isinstance(frame, InputAudioRawFrame):
            await say(socket, serializer, OutputAudioRawFrame(frame.audio, RATE, 1))
        elif isinstance(frame, OutputTransportMessageUrgentFrame):  # AudioHook: opened, pong, closed.
            await say(socket, serializer, frame)
        elif isinstance(frame, InputDTMFFrame) and frame.button.value == "0":
            await say(socket, serializer, InterruptionFrame())
    return socket


async def say(
    socket: web.WebSocketResponse,
    serializer: FrameSerializer,
    frame: OutputAudioRawFrame | InterruptionFrame | OutputTransportMessageUrgentFrame,
) -> None:
    """Send a frame of the pipeline in the protocol of the stream."""
    data = await serializer.serialize(frame)
    if isinstance(data, bytes):
        await socket.send_bytes(data)
    elif data is not None:
        await socket.send_str(data)


def main() -> None:
    """Serve on loopback."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--protocol", default="twilio", choices=PROTOCOLS)
    parser.add_argument("--port", type=int, default=9100)
    given = parser.parse_args()
    application = web.Application()
    application["protocol"] = given.protocol
    application.router.add_get("/", serve)
    web.run_app(application, host="127.0.0.1", port=given.port)


if __name__ == "__main__":
    main()
