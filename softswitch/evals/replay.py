"""A dump played again: the commands of its client at their moments, with the audio of the caller.

What the switch answers is compared with what it answered then.
"""

import asyncio
import wave
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from softswitch.client import Call, CallEndedError, ClientError, connect
from softswitch.errors import SettingsError

MOST_LINES = 100_000
PATIENCE_S = 10.0
"""How long the end of the call is waited for after the last line, seconds."""
_CHANGING = frozenset(
    {
        "metrics",
        "asrDelta",
        "ack",
        "speaking",
        "silence",
        "binary",
        "candidate",
        "resumed",
        "mediaReady",
    }
)
"""Events whose number depends on the machine and the moment."""


class Line(msgspec.Struct):
    """One line of a dump."""

    at: int
    """Epoch milliseconds."""
    command: dict[str, Any] | str | None = None
    event: dict[str, Any] | str | None = None


class Outcome(msgspec.Struct, kw_only=True):
    """What came of a replay; written as JSON."""

    same: bool
    expected: list[str]
    """Events of the dump, without those that depend on the moment."""
    got: list[str]
    skipped: list[str]
    """Commands that cannot be replayed, each with the reason."""


def read_dump(path: Path) -> list[Line]:
    """Read a dump.

    Raises:
        SettingsError: It cannot be read, or is no dump; the text names the line.
    """
    decoder, lines = msgspec.json.Decoder(Line), []
    try:
        with path.open("rb") as file:
            for number, text in enumerate(file, 1):
                if number > MOST_LINES:
                    raise SettingsError(f"{path}: more than {MOST_LINES} lines")
                lines.append(decoder.decode(text))
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise SettingsError(f"{path}: line {len(lines) + 1}: {error}") from None
    if not any(line.command for line in lines):
        raise SettingsError(f"{path}: there is no command in it")
    return lines


def read_audio(path: Path) -> tuple[int, bytes]:
    """Return rate and PCM16 of the caller: a mono file, or the left channel of a recording.

    Raises:
        SettingsError: It is no such file.
    """
    try:
        with wave.open(str(path)) as file:
            if file.getsampwidth() != 2 or file.getframerate() not in (8000, 16000, 24000, 48000):
                raise SettingsError(f"{path}: must have 16 bits and 8, 16, 24 or 48 kHz")
            pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2")
            return file.getframerate(), pcm[:: file.getnchannels()].tobytes()
    except (OSError, wave.Error, EOFError) as error:
        raise SettingsError(f"{path}: {error}") from None


def names(events: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of the events that a replay has to have as well."""
    return [str(event.get("event")) for event in events if event.get("event") not in _CHANGING]


def replayable(command: Mapping[str, Any] | str, rate: int | None) -> dict[str, Any] | str:
    """Return a command as a call over ``/call`` can have it, or why it cannot be replayed."""
    if isinstance(command, str):
        return "its text was not kept"
    name = command.get("command")
    if name in ("ping", "candidate", "offer"):
        return f"{name}: the replay has no WebRTC"
    if hidden := _hidden(command):
        return f"{name}: {hidden} was masked in the dump"
    given = {key: value for key, value in command.items() if key != "requestId"}
    if name in ("invite", "accept"):
        option = {key: value for key, value in (given.get("option") or {}).items() if key != "offer"}
        if rate is not None:
            option |= {"samplerate": rate, "codec": "pcm"}
        given = {"command": "invite", "option": option}
    return given


def _hidden(value: Any, path: str = "") -> str:
    if isinstance(value, Mapping):
        found = (
            _hidden(inner, f"{path}.{key}".lstrip(".")) for key, inner in value.items() if key != "offer"
        )
        return next(filter(None, found), "")
    if isinstance(value, str) and value and set(value) <= {"*"}:
        return path
    return ""


async def replay(
    lines: Sequence[Line], url: str, token: str | None = None, audio: tuple[int, bytes] | None = None
) -> Outcome:
    """Play a dump against a switch, at its own pace.

    Args:
        lines: The dump.
        url: ``/call`` of the switch.
        token: Key or token for it.
        audio: Rate and PCM16 of the caller, from the answer on.

    Raises:
        ClientError: The switch cannot be reached, or refuses the call.
    """
    expected = names([line.event for line in lines if isinstance(line.event, dict)])
    skipped: list[str] = []
    got: list[str] = []
    async with connect(url, token=token, command=None, acknowledge=False) as call:

        async def follow() -> None:
            async for event in call.events():
                got.extend({event.name} - _CHANGING)

        following = asyncio.create_task(follow())
        speaking: asyncio.Task[None] | None = None
        begin, first = asyncio.get_running_loop().time(), lines[0].at
        try:
            for line in lines:
                if line.command is None:
                    continue
                given = replayable(line.command, audio[0] if audio else None)
                if isinstance(given, str):
                    skipped.append(given)
                    continue
                await asyncio.sleep(begin + (line.at - first) / 1000 - asyncio.get_running_loop().time())
                if call.end is not None:
                    break
                await call.command(given.pop("command"), given, wait=False)
                if audio is not None and speaking is None:
                    speaking = asyncio.create_task(_speak(call, audio[1]))
            await _end(call, (begin, first), lines[-1])
        finally:
            if speaking is not None:
                speaking.cancel()
            with suppress(ClientError):
                await call.hangup()
            await asyncio.wait({following}, timeout=PATIENCE_S)
            following.cancel()
    return Outcome(same=got == expected, expected=expected, got=got, skipped=skipped)


async def _speak(call: Call, pcm: bytes) -> None:
    with suppress(ClientError):
        await call.answered(60.0)
        await call.stream(pcm)


async def _end(call: Call, start: tuple[float, int], last: Line) -> None:
    """Wait for the end of the call, or as long as it lasted then."""
    begin, first = start
    left = begin + (last.at - first) / 1000 - asyncio.get_running_loop().time()
    with suppress(TimeoutError, CallEndedError):
        await call.wait("hangup", max(left, 0.0) + PATIENCE_S)
