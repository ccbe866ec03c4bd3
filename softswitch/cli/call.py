"""Make a call from the command line: play a file, speak a text, record the audio and print the events."""

import argparse
import asyncio
import contextlib
import sys
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from softswitch.protocol.call_events import Event

RATES = (8000, 16000, 24000, 48000)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the call."""
    parser.add_argument(
        "url", nargs="?", default="ws://127.0.0.1:8080/call", help="URL of the switch (default: %(default)s)"
    )
    parser.add_argument("--token", help="API key or JSON web token")
    parser.add_argument("--id", help="session id of the call")
    parser.add_argument("--callee", default="", help="callee: echo, tone, room:ID, agent:NAME, or a label")
    parser.add_argument("--say", metavar="TEXT", help="text that the switch speaks to the caller")
    parser.add_argument(
        "--play", metavar="WAV", type=Path, help="file to send as microphone audio (mono, 16 bits)"
    )
    parser.add_argument("--record", metavar="WAV", type=Path, help="file for the received audio")
    parser.add_argument("--asr", default="builtin", help="provider of speech recognition; off for none")
    parser.add_argument("--dtmf", metavar="DIGITS", default="", help="digits to send after the file")
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="seconds to listen after that (default: 5)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Make the call; return 0 if it was answered and ended normally."""
    from softswitch.client import ClientError  # noqa: PLC0415  (aiohttp is slow to import, and help does not need it)

    try:
        asyncio.run(_call(arguments))
    except (ClientError, OSError, wave.Error, ValueError) as error:
        print(f"softswitch: {error}", file=sys.stderr)
        return 1
    return 0


async def _call(arguments: argparse.Namespace) -> None:
    from softswitch.client import connect  # noqa: PLC0415  (as above)

    rate, microphone = read_microphone(arguments.play)
    option: dict[str, object] = {"samplerate": rate, "callee": arguments.callee}
    if arguments.asr != "off":
        option["asr"] = {"provider": arguments.asr}
    async with (
        connect(arguments.url, token=arguments.token, id=arguments.id, option=option) as call,
        asyncio.TaskGroup() as group,
    ):
        printing = group.create_task(_print(call.events()))
        recording = group.create_task(_record(call.audio(), arguments.record, rate))
        if arguments.say:
            await call.say(arguments.say)
        if microphone:
            await call.stream(microphone)
        for digit in arguments.dtmf:
            await call.dtmf(digit)
        with contextlib.suppress(TimeoutError):
            await call.wait("hangup", arguments.seconds)
        await call.hangup()
        await printing
        recording.cancel()


def read_microphone(path: Path | None) -> tuple[int, bytes]:
    """Return sample rate and PCM16 of a file with one second of silence appended.

    Without a file, return 16 kHz and no audio.

    Raises:
        ValueError: The file is not mono, not 16 bits, or its sample rate is not supported.
    """
    if path is None:
        return 16000, b""
    with wave.open(str(path)) as file:
        rate = file.getframerate()
        if file.getnchannels() != 1 or file.getsampwidth() != 2 or rate not in RATES:
            raise ValueError(
                f"{path} must be mono, have 16 bits, and a sample rate of {', '.join(map(str, RATES))} Hz"
            )
        return rate, file.readframes(file.getnframes()) + bytes(2 * rate)


async def _print(events: AsyncIterator[Event]) -> None:
    """Print each event as a line of JSON; fields that this version does not know stand in ``extra``."""
    async for event in events:
        message = msgspec.to_builtins(event)
        if event.extra:
            message["extra"] = event.extra
        print(msgspec.json.encode(message).decode(), flush=True)


async def _record(audio: AsyncIterator[bytes], path: Path | None, rate: int) -> None:
    """Write the received audio to a file, which is complete even if the call breaks."""
    if path is None:
        async for _ in audio:
            pass
        return
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        async for pcm in audio:
            file.writeframes(pcm)
