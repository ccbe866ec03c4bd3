"""Source of one track: it feeds texts, given audio, files and marks in their order."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path

from softswitch.call.vocabulary import effects, reports
from softswitch.call.vocabulary.rejection import CommandRejected
from softswitch.call.vocabulary.values import WaitingSound
from softswitch.egress import SWITCH, Asker
from softswitch.egress.address import read_url
from softswitch.egress.errors import EgressRefused
from softswitch.errors import SoftswitchError
from softswitch.media import messages as m
from softswitch.speech import provider as speech
from softswitch.switch.conversation.heard_text import HeardText
from softswitch.switch.conversation.speech_options import tts_options
from softswitch.switch.resources import Resources
from softswitch.switch.shared_files import File

logger = logging.getLogger(__name__)

AHEAD_MS = 5000
"""Audio fed ahead, milliseconds; then the source waits until less than LOW_MS is left."""
LOW_MS = 2000
FILE_RATE = 24000
SHORT = FILE_RATE * 2
"""Bytes of one second of PCM16: a shorter loop is repeated up to this length before it is fed."""
URL_SHOWN = 200
"""Characters of a URL or name that an error repeats."""
_SOUND = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}")

_SCHEMES = frozenset({"http", "https"})


def check_source(url: str) -> None:
    """Check the spelling of what is to be played, before it takes the place of what plays now.

    Raises:
        CommandRejected: It is neither the name of a sound nor a proper URL. Whether the URL may be reached,
            and has a file, is known only when it is fetched.
    """
    if "://" not in url and _SOUND.fullmatch(url):
        return
    try:
        read_url(url, _SCHEMES, trusted=True)
    except EgressRefused as error:
        raise CommandRejected(f"url: {error}", error.code, "play") from None


Entry = (
    effects.SpeakText
    | effects.SpeakAudio
    | effects.PlayUrl
    | effects.PlaySound
    | effects.CompleteText
    | effects.PlaceMark
)


class TrackSource:
    """Source of one track of the engine; runs as one task until cancelled."""

    def __init__(
        self,
        track: int,
        number: int,
        resources: Resources,
        report: Callable[[reports.Report], None],
        asker: Asker = SWITCH,
        *,
        meter: speech.Meter | None = None,
    ) -> None:
        """Prepare.

        Args:
            track: Number that the call gave to the playback.
            number: Number of the track in the engine.
            resources: Engine, providers and egress client.
            report: Takes reports to the call.
            asker: The call, to which look-ups of names and the use of providers are attributed.
            meter: Counts what the call uses of hosted speech.
        """
        self._asker = asker
        self._meter = meter or speech.Meter()
        self.track = track
        self.number = number
        self._resources = resources
        self._report = report
        self._entries: asyncio.Queue[Entry] = asyncio.Queue()
        self._held: Entry | None = None
        self._low = asyncio.Event()
        self._ahead_ms = 0.0
        self._fed_ms = 0.0
        self._said = HeardText()

    def give(self, entry: Entry) -> None:
        """Queue an entry; the call bounds their number."""
        self._entries.put_nowait(entry)

    def low(self) -> None:
        """Resume feeding: little audio is left in the engine."""
        self._low.set()

    def heard(self, played_ms: int) -> str:
        """Return the text whose audio had begun when ``played_ms`` had been heard."""
        return self._said.until(played_ms)

    async def run(self) -> None:
        """Feed until cancelled."""
        while True:
            entry = await self._next()
            try:
                await self._feed(entry)
            except SoftswitchError as error:
                self._failed(entry, str(error), getattr(error, "code", 500))
            except Exception as error:
                # A failure of one text or file must not end the call.
                logger.exception("a source of audio failed")
                self._failed(entry, f"it failed inside ({type(error).__name__}); the log has the rest", 500)

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
            case effects.PlaySound():
                await self._sound(entry.sound)
            case effects.CompleteText():
                self._done(entry.item)
            case effects.PlaceMark():
                self._resources.engine.post(m.PlaceMark(self.number, entry.name))

    # --- speech -------------------------------------------------------------------

    async def _speak(self, first: effects.SpeakText) -> None:
        """Speak one text and the streamed texts that complete it."""
        opened = await self._resources.providers.open_tts(
            first.option.providers or (self._resources.settings.speech.tts,),
            tts_options(first, self._asker, self._meter),
        )
        for warning in opened.warnings:
            self._report(reports.SpeechWarned("tts", warning, 404))
        if opened.stream is None:
            raise SpeechOff("no provider can speak here")
        stream = opened.stream
        stream.push_text(first.text)
        last = first.item
        failure: Exception | None = None
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(stream))
                if not first.complete:
                    self._done(first.item)
                    last = await self._stream_text(stream)
                stream.flush()
        except* Exception as errors:  # noqa: BLE001  (raised below)
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
                    # An entry of another kind completes the streamed text.
                    self._held = entry
                    return 0

    async def _pump(self, stream: speech.TtsStream) -> None:
        begin_ms = self._fed_ms
        async for output in stream:
            match output:
                case speech.TtsAudio():
                    await self._audio(output.pcm, output.sample_rate, output.text or "", output.last)
                case speech.SpeechMetric():
                    self._report(reports.Measured(output.key, output.duration_ms, output.data))
                case speech.SpeechSwitched():
                    self._report(reports.SpeechWarned("tts", output.error, output.code))
                case speech.SpeechError():
                    raise SpeechOff(output.error, output.code)
                case speech.TtsMark():
                    self._said.word(begin_ms + output.offset_ms)
                case _:
                    pass  # Its end is known from what it was given.

    # --- files ----------------------------------------------------------------------

    async def _play(self, entry: effects.PlayUrl) -> None:
        def load(reserve: Callable[[int], None]) -> Awaitable[tuple[bytes, str, str]]:
            return self._fetch(entry.url, reserve)

        async with self._resources.files.open(entry.url, self._asker, load) as file:
            if entry.offset_ms or not entry.loop:
                async for pcm in self._decode(file, entry.offset_ms):
                    await self._audio(pcm, FILE_RATE)
            if entry.loop:
                await self._repeat(file)

    async def _repeat(self, file: File) -> None:
        """Play a file from its beginning again and again."""
        while True:
            held = b""
            heard = False
            async for pcm in self._resources.loops.pieces(
                file.digest, lambda offset_ms: self._decode(file, offset_ms)
            ):
                held += pcm
                if len(held) >= SHORT:
                    heard = True
                    await self._audio(held, FILE_RATE)
                    held = b""
            if not heard:
                break
            if held:
                await self._audio(held, FILE_RATE)
        # A loop of one sample would need 24000 rounds a second; unrolled it needs one.
        unrolled = held * -(-SHORT // max(len(held), 1))
        while unrolled:
            await self._audio(unrolled, FILE_RATE)

    async def _sound(self, sound: WaitingSound) -> None:
        """Play a sound of the switch until cancelled; the default music in place of a file that fails."""
        sounds = self._resources.waiting_sounds
        path = self._resources.settings.media.hold_music
        if sound == "music" and path not in ("default", "off"):
            try:
                async with self._resources.files.open(path, SWITCH, partial(_load, Path(path))) as file:
                    await self._repeat(file)
            except (SoftswitchError, OSError) as error:
                sounds.failed(path, error)
        pcm = await sounds.ringback() if sound == "ringback" else await sounds.music()
        second = FILE_RATE * 2
        while True:
            for start in range(0, len(pcm), second):
                await self._audio(pcm[start : start + second], FILE_RATE)

    def _decode(self, file: File, offset_ms: int) -> AsyncIterator[bytes]:
        return self._resources.open_audio(file.body, FILE_RATE, offset_ms, file.name, file.content_type)

    async def _fetch(self, url: str, reserve: Callable[[int], None]) -> tuple[bytes, str, str]:
        if "://" in url or not _SOUND.fullmatch(url):
            fetched = await self._resources.egress.fetch(url, asker=self._asker, reserve=reserve)
            if not 200 <= fetched.status < 300:
                raise SourceMissing(f"{url} answered {fetched.status}", fetched.status)
            return fetched.body, fetched.url.name, fetched.headers.get("Content-Type", "")
        path = self._resources.sounds / url
        limit = self._resources.settings.egress.max_bytes
        loop = asyncio.get_running_loop()
        reserve(await loop.run_in_executor(None, _size_of_sound, path, limit))
        return await loop.run_in_executor(None, path.read_bytes), url, ""

    # --- to the engine --------------------------------------------------------------

    async def _audio(self, pcm: bytes, sample_rate: int, text: str = "", boundary: bool = True) -> None:
        """Feed audio, and wait while AHEAD_MS is ahead of what is heard; yield to other tasks after each."""
        duration_ms = len(pcm) / 2 * 1000 / sample_rate
        begin_ms = self._fed_ms
        self._fed_ms += duration_ms
        self._said.fed(text, begin_ms, self._fed_ms, last=boundary)
        # The report comes first: what the track takes the place of is dropped before it sounds.
        self._report(reports.SourceFed(self.track))
        self._resources.engine.post(m.FeedTrack(self.number, sample_rate, pcm, boundary))
        self._ahead_ms += duration_ms
        if self._ahead_ms >= AHEAD_MS:
            self._low.clear()
            await self._low.wait()
            self._ahead_ms = LOW_MS
        else:
            # A source that delivers without waiting would otherwise hold the loop until AHEAD_MS is fed.
            await asyncio.sleep(0)

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
                named = error if entry.url in error else f"{entry.url[:URL_SHOWN]}: {error}"
                self._report(reports.SourceFailed(self.track, entry.item, "play", named, code))
            case _:
                logger.error("an entry without audio failed", extra={"error": error})


class SpeechOff(SoftswitchError):
    """A text cannot be spoken."""

    def __init__(self, error: str, code: int = 503) -> None:
        super().__init__(error)
        self.code = code


class SourceMissing(SoftswitchError):
    """A file is not there."""

    def __init__(self, error: str, code: int = 404) -> None:
        super().__init__(error)
        self.code = code


async def _load(path: Path, reserve: Callable[[int], None]) -> tuple[bytes, str, str]:
    """Read the operator's music on hold."""
    loop = asyncio.get_running_loop()
    reserve(await loop.run_in_executor(None, lambda: path.stat().st_size))
    return await loop.run_in_executor(None, path.read_bytes), path.name, ""


def _size_of_sound(path: Path, limit: int) -> int:
    """Return the size of a sound of the operator's folder in bytes; a symbolic link is refused."""
    if path.is_symlink() or not path.is_file():
        raise SourceMissing(f"no sound {path.name!r}")
    size = path.stat().st_size
    if size > limit:
        raise SourceMissing(f"the sound {path.name!r} is larger than [egress] max_bytes", 413)
    return size
