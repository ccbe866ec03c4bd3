"""Make a call from the shell: play a file as the microphone, say a text, keep and print what comes."""

import argparse
import asyncio
import contextlib
import sys
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

RATES = (8000, 16000, 24000, 48000)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add whom to call and what to do there."""
    parser.add_argument(
        "url", nargs="?", default="ws://127.0.0.1:8080/call", help="the switch (default: %(default)s)"
    )
    parser.add_argument("--token", help="API key or JSON web token")
    parser.add_argument("--id", help="session id of the call")
    parser.add_argument("--callee", default="", help="whom to reach: echo, tone, or a label")
    parser.add_argument("--say", metavar="TEXT", help="have the switch say this to the caller")
    parser.add_argument(
        "--play", metavar="WAV", type=Path, help="file played as the microphone (mono, 16 bits)"
    )
    parser.add_argument("--record", metavar="WAV", type=Path, help="file for what is heard")
    parser.add_argument(
        "--asr", default="builtin", help="provider that understands what is played; off: none"
    )
    parser.add_argument(
        "--dtmf", metavar="DIGITS", default="", help="digits to send once the file was played"
    )
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="how long to listen after that (default: 5)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Make the call; return 0 when it was answered and ended as planned."""
    from softswitch.client import ClientError  # noqa: PLC0415  (aiohttp takes its time; help comes first)

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
        keeping = group.create_task(_keep(call.audio(), arguments.record, rate))
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
        keeping.cancel()


def read_microphone(path: Path | None) -> tuple[int, bytes]:
    """Return rate and PCM16 of a file, with a second of silence behind it; 16 kHz of nothing without a file.

    Raises:
        ValueError: it is not mono, not of 16 bits, or of a rate that no call has.
    """
    if path is None:
        return 16000, b""
    with wave.open(str(path)) as file:
        rate = file.getframerate()
        if file.getnchannels() != 1 or file.getsampwidth() != 2 or rate not in RATES:
            raise ValueError(f"{path} must be mono, 16 bits, and of {', '.join(map(str, RATES))} Hz")
        return rate, file.readframes(file.getnframes()) + bytes(2 * rate)


async def _print(events: AsyncIterator[object]) -> None:
    async for event in events:
        print(msgspec.json.encode(event).decode(), flush=True)


async def _keep(audio: AsyncIterator[bytes], path: Path | None, rate: int) -> None:
    """Write what is heard to a file, readable also when the call breaks."""
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
