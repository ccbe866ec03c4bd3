"""What feeds one track: texts, given audio, files and marks, in the order in which they came."""

import asyncio
import hashlib
import logging
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from softswitch.call import effects, reports
from softswitch.errors import SoftswitchError
from softswitch.media import messages as m
from softswitch.speech import provider as speech
from softswitch.switch.resources import Resources
from softswitch.switch.spoken import tts_options

logger = logging.getLogger(__name__)

AHEAD_MS = 5000
"""Audio given to the engine before waiting until little of it is left."""
LOW_MS = 2000
FILE_RATE = 24000
_SOUND = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}")

Entry = effects.SpeakText | effects.SpeakAudio | effects.PlayUrl | effects.CompleteText | effects.MarkPlayback


@dataclass(frozen=True, slots=True)
class _Said:
    """A piece of text and where its audio ends."""

    text: str
    end_ms: float


@dataclass(frozen=True, slots=True)
class _File:
    """A file to be played, and what tells its format where the bytes do not."""

    body: bytes
    name: str
    content_type: str = ""


class TrackSource:
    """Feeds one track of the engine; runs as one task until cancelled."""

    def __init__(
        self, track: int, number: int, resources: Resources, report: Callable[[reports.Report], None]
    ) -> None:
        """Prepare.

        Args:
            track: The call's number of the playback.
            number: The engine's.
            resources: Engine, providers, door.
            report: Tells the call.
        """
        self.track = track
        self.number = number
        self._resources = resources
        self._report = report
        self._entries: asyncio.Queue[Entry] = asyncio.Queue()
        self._held: Entry | None = None
        self._low = asyncio.Event()
        self._ahead_ms = 0.0
        self._fed_ms = 0.0
        self._said: list[_Said] = []

    def give(self, entry: Entry) -> None:
        """Queue something (the call bounds how much)."""
        self._entries.put_nowait(entry)

    def low(self) -> None:
        """Note that little audio is left in the engine."""
        self._low.set()

    def heard(self, played_ms: int) -> str:
        """Return the text whose audio had begun by ``played_ms``."""
        heard: list[str] = []
        begin = 0.0
        for piece in self._said:
            if begin >= played_ms:
                break
            heard.append(piece.text)
            begin = piece.end_ms
        return " ".join(heard)

    async def run(self) -> None:
        """Feed until cancelled."""
        while True:
            entry = await self._next()
            try:
                await self._feed(entry)
            except SoftswitchError as error:
                self._failed(entry, str(error), getattr(error, "code", 500))
            except (OSError, ValueError) as error:
                logger.warning("a source of audio failed", exc_info=True)
                self._failed(entry, f"{type(error).__name__}: {error}", 500)

    async def _next(self) -> Entry:
        if self._held is not None:
            entry, self._held = self._held, None
            return entry
        return await self._entries.get()

    async def _feed(self, entry: Entry) -> None:
        match entry:
            case effects.SpeakText():
                await self._speak(entry)
            case effects.SpeakAudio():
                await self._audio(entry.pcm, entry.sample_rate)
                self._done(entry.item)
            case effects.PlayUrl():
                await self._play(entry)
                self._done(entry.item)
            case effects.CompleteText():
                self._done(entry.item)
            case effects.MarkPlayback():
                self._resources.engine.post(m.PlaceMark(self.number, entry.name))

    # --- speech -------------------------------------------------------------------

    async def _speak(self, first: effects.SpeakText) -> None:
        """Speak one text, and what is streamed after it until it is complete."""
        opened = await self._resources.providers.open_tts(
            first.option.providers or (self._resources.settings.speech.tts,),
            tts_options(first, self._resources.settings.speech),
        )
        for warning in opened.warnings:
            self._report(reports.SpeechWarned("tts", warning, 404))
        if opened.stream is None:
            raise SpeechOff("no provider can speak here")
        stream = opened.stream
        stream.push_text(first.text)
        last = first.item
        failure: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(stream))
                if not first.complete:
                    self._done(first.item)
                    last = await self._stream_text(stream)
                stream.flush()
        except* SoftswitchError as errors:
            failure = errors.exceptions[0]
        finally:
            stream.cancel()
        if failure is not None:
            raise failure
        self._done(last)

    async def _stream_text(self, stream: speech.TtsStream) -> int:
        """Push streamed text until it is complete; return the item that completes it."""
        while True:
            entry = await self._next()
            match entry:
                case effects.SpeakText():
                    stream.push_text(entry.text)
                    if entry.complete:
                        return entry.item
                    self._done(entry.item)
                case effects.CompleteText():
                    return entry.item
                case _:
                    # Something else follows: what was said so far is complete.
                    self._held = entry
                    return 0

    async def _pump(self, stream: speech.TtsStream) -> None:
        async for output in stream:
            match output:
                case speech.TtsAudio():
                    await self._audio(output.pcm, output.sample_rate, output.text or "", output.last)
                case speech.SpeechMetric():
                    self._report(reports.Measured(output.key, output.duration_ms, output.data))
                case speech.SpeechError():
                    raise SpeechOff(output.error, output.code)
                case _:
                    pass  # Word positions are not told to clients.

    # --- files ----------------------------------------------------------------------

    async def _play(self, entry: effects.PlayUrl) -> None:
        file = await self._fetch(entry.url)
        if entry.offset_ms or not entry.loop:
            async for pcm in self._decode(file, entry.offset_ms):
                await self._audio(pcm, FILE_RATE)
        if entry.loop:
            await self._repeat(file)

    async def _repeat(self, file: _File) -> None:
        """Play a file from its beginning again and again."""
        key = hashlib.sha256(file.body).digest()
        heard = True
        while heard:
            heard = False
            async for pcm in self._resources.loops.pieces(
                key, lambda offset_ms: self._decode(file, offset_ms)
            ):
                heard = True
                await self._audio(pcm, FILE_RATE)

    def _decode(self, file: _File, offset_ms: int) -> AsyncIterator[bytes]:
        return self._resources.open_audio(file.body, FILE_RATE, offset_ms, file.name, file.content_type)

    async def _fetch(self, url: str) -> _File:
        if "://" in url or not _SOUND.fullmatch(url):
            fetched = await self._resources.door.fetch(url)
            if not 200 <= fetched.status < 300:
                raise SourceMissing(f"{url} answered {fetched.status}", fetched.status)
            return _File(fetched.body, fetched.url.name, fetched.headers.get("Content-Type", ""))
        path = self._resources.sounds / url
        limit = self._resources.settings.egress.max_bytes
        body = await asyncio.get_running_loop().run_in_executor(None, _read_sound, path, limit)
        return _File(body, url)

    # --- to the engine --------------------------------------------------------------

    async def _audio(self, pcm: bytes, sample_rate: int, text: str = "", boundary: bool = True) -> None:
        """Feed audio, and wait when enough of it is ahead of what is heard."""
        duration_ms = len(pcm) / 2 * 1000 / sample_rate
        self._fed_ms += duration_ms
        if text:
            self._said.append(_Said(text, self._fed_ms))
        elif self._said:
            self._said[-1] = _Said(self._said[-1].text, self._fed_ms)
        self._resources.engine.post(m.FeedTrack(self.number, sample_rate, pcm, boundary))
        self._report(reports.SourceFed(self.track))
        self._ahead_ms += duration_ms
        if self._ahead_ms >= AHEAD_MS:
            self._low.clear()
            await self._low.wait()
            self._ahead_ms = LOW_MS

    def _done(self, item: int) -> None:
        if item:
            self._report(reports.SourceDone(self.track, item))

    def _failed(self, entry: Entry, error: str, code: int) -> None:
        match entry:
            case effects.SpeakText():
                self._report(reports.SourceFailed(self.track, entry.item, "tts", error, code))
            case effects.SpeakAudio():
                self._report(reports.SourceFailed(self.track, entry.item, "tts", error, code))
            case effects.PlayUrl():
                self._report(reports.SourceFailed(self.track, entry.item, "play", error, code))
            case _:
                logger.error("an entry without audio failed", extra={"error": error})


class SpeechOff(SoftswitchError):
    """A text cannot be spoken."""

    def __init__(self, error: str, code: int = 503) -> None:
        """Remember the code for the client."""
        super().__init__(error)
        self.code = code


class SourceMissing(SoftswitchError):
    """A file is not there."""

    def __init__(self, error: str, code: int = 404) -> None:
        """Remember the code for the client."""
        super().__init__(error)
        self.code = code


def _read_sound(path: Path, limit: int) -> bytes:
    """Read a sound the operator provides; never through a symbolic link."""
    if path.is_symlink() or not path.is_file():
        raise SourceMissing(f"no sound {path.name!r}")
    if path.stat().st_size > limit:
        raise SourceMissing(f"the sound {path.name!r} is larger than [egress] max_bytes", 413)
    return path.read_bytes()
