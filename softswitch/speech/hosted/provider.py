"""Providers of one `[[speech.provider]]`: they open the streams of a kind, within its bounds."""

import time
from collections.abc import Callable
from uuid import uuid4

from softswitch.egress import Asker, EgressClient, EgressPool
from softswitch.settings.speech_provider import SpeechProvider
from softswitch.speech.hosted.access import Access, access, has_own_key
from softswitch.speech.hosted.accounts import Concurrency
from softswitch.speech.hosted.asr_base import Opening
from softswitch.speech.hosted.asr_rest import RestAsrStream
from softswitch.speech.hosted.asr_stream import SocketAsrStream
from softswitch.speech.hosted.connection import Connection, dial
from softswitch.speech.hosted.kind import AsrQuery, Kind, OverHttp, Source, TtsQuery, TtsWay
from softswitch.speech.hosted.tts_speaker import RestSpeaker, SocketSpeaker, Speaker, Voice
from softswitch.speech.hosted.warm import WarmLines
from softswitch.speech.hosted.wire import AsrProtocol
from softswitch.speech.interface import (
    AsrOptions,
    AsrStream,
    SpeechUnavailableError,
    TtsOptions,
    TtsStream,
    Usage,
)
from softswitch.speech.phrases import PhraseCache
from softswitch.speech.tts_stream import SentenceStream

SOURCE = Source(time.time, lambda: uuid4().hex)


class HostedProvider:
    """One service, for recognition and synthesis."""

    def __init__(
        self,
        row: SpeechProvider,
        kind: Kind,
        client: EgressClient,
        concurrency: Concurrency,
        *,
        pool: EgressPool,
        lines: WarmLines,
        phrases: PhraseCache,
        source: Source = SOURCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            row: the settings.
            kind: its protocols.
            client: the way out.
            concurrency: bounds the work under way.
            pool: connections for HTTP.
            lines: connections for synthesis over sockets.
            phrases: keeps sentences.
            source: time and ids for the protocols.
            clock: monotonic seconds.
        """
        self.name = row.name
        self._row = row
        self._kind = kind
        self._client = client
        self._concurrency = concurrency
        self._pool = pool
        self._lines = lines
        self._phrases = phrases
        self._source = source
        self._clock = clock

    @property
    def voice(self) -> str:
        """Return the voice of the settings; empty: the kind's own."""
        return self._row.voice

    @property
    def language(self) -> str:
        """Return the language of the settings, where a call chooses none."""
        return self._row.language

    def access(self, options: AsrOptions | TtsOptions) -> Access:
        """Return address and key for a stream; raises SpeechUnavailableError where something is missing."""
        base_url = self._kind.base_url
        if "{region}" in base_url:
            given = options.extra.get("region")
            region = given if isinstance(given, str) and given.isalnum() else self._row.region
            base_url = base_url.format(region=region or "unknown")
        return access(self._row, options.extra, base_url=base_url, needs=self._kind.needs)

    async def open_asr(self, options: AsrOptions) -> AsrStream:
        """Open a recognition; its connection is open when this returns.

        Raises:
            SpeechUnavailableError: it cannot recognise, or something is missing in the settings.
            SpeechBusyError: too many are under way, here or at the vendor.
            VendorError: the vendor refuses or cannot be reached.
        """
        choose = self._kind.asr
        if choose is None:
            raise SpeechUnavailableError(
                f"provider {self.name!r} ({self._row.kind}) does not recognise speech"
            )
        reached = self.access(options)
        wanted = AsrQuery(
            language=options.language or self._row.language,
            model=options.model or self._row.model,
            sample_rate=options.sample_rate,
            hotwords=options.hotwords,
        )
        opening = Opening(
            provider=self.name,
            sample_rate=options.sample_rate,
            concurrency=self._concurrency,
            usage=options.meter.of(self.name) if options.meter else Usage(),
            patience_s=_patience(options.patience_s, self._row.timeout_s),
            attempts=2 if options.patience_s else 3,
            warnings=(
                (f"grammar: provider {self.name!r} recognises free speech only",)
                if options.grammar not in ("", "free")
                else ()
            ),
            clock=self._clock,
        )
        asker = Asker(options.account, options.call)
        self._concurrency.begin()
        try:
            way = choose(reached, wanted)
            if isinstance(way, OverHttp):
                protocol = way.make(reached, wanted, self._source)
                return RestAsrStream(opening, reached, protocol, self._pool, asker)
            return await self._open_socket(
                opening, reached, lambda: way.make(reached, wanted, self._source), asker
            )
        except BaseException:
            self._concurrency.end()
            raise

    async def _open_socket(
        self, opening: Opening, reached: Access, make: Callable[[], AsrProtocol], asker: Asker
    ) -> SocketAsrStream:
        async def open_one(protocol: AsrProtocol) -> Connection:
            endpoint = protocol.endpoint()
            return await dial(self._client, reached, endpoint, opening.patience_s, asker, idle=False)

        first = make()
        return SocketAsrStream(opening, reached, make, open_one, (first, await open_one(first)))

    async def open_tts(self, options: TtsOptions) -> TtsStream:
        """Open a synthesis; its first connection is opened in the background.

        Raises:
            SpeechUnavailableError: it cannot speak, or something is missing in the settings.
            SpeechBusyError: too many are under way.
        """
        way = self._kind.tts
        if way is None:
            raise SpeechUnavailableError(f"provider {self.name!r} ({self._row.kind}) does not speak")
        reached = self.access(options)
        self._concurrency.check()
        wanted = TtsQuery(
            voice=options.voice or self._row.voice,
            language=options.language or self._row.language,
            model=self._row.tts_model,
            sample_rate=options.sample_rate,
            rate=options.rate,
            pitch=options.pitch,
            volume=options.volume,
        )
        speaker = self._speaker(reached, way, wanted, options)
        speaker.warm()
        # What one account's key has paid for is not given to another one.
        whose = f"own:{options.account}" if has_own_key(options.extra) else self._row.account
        sound = (
            wanted.voice,
            wanted.language,
            wanted.model,
            wanted.sample_rate,
            wanted.rate,
            wanted.pitch,
            wanted.volume,
        )
        key = (self._row.kind, whose, *sound)
        return SentenceStream(self.name, speaker.speak, cache=self._phrases, key=key)

    def _speaker(self, reached: Access, way: TtsWay, wanted: TtsQuery, options: TtsOptions) -> Speaker:
        voice = Voice(
            access=reached,
            client=self._client,
            concurrency=self._concurrency,
            usage=options.meter.of(self.name) if options.meter else Usage(),
            timeout_s=_patience(options.patience_s, self._row.timeout_s),
            asker=Asker(options.account, options.call),
            clock=self._clock,
        )
        if isinstance(way, OverHttp):
            return RestSpeaker(voice, lambda: way.make(reached, wanted, self._source), self._pool)
        # A connection is authorised once: only equal keys may share one.
        key = (self._row.name, self._row.account, reached.base_url, reached.key, reached.app_id, wanted)
        return SocketSpeaker(voice, lambda: way.make(reached, wanted, self._source), self._lines, key)


def _patience(wanted: float, own: float) -> float:
    return min(wanted, own) if wanted else own


class HostedAsr:
    """Recognition of one provider, as the interface wants it."""

    def __init__(self, provider: HostedProvider) -> None:
        self.name = provider.name
        self._provider = provider

    async def open(self, options: AsrOptions) -> AsrStream:
        """Open a stream; raises as :meth:`HostedProvider.open_asr` does."""
        return await self._provider.open_asr(options)

    async def close(self) -> None:
        """Do nothing: what is shared is closed by the catalogue."""


class HostedTts:
    """Synthesis of one provider, as the interface wants it."""

    def __init__(self, provider: HostedProvider) -> None:
        self.name = provider.name
        self._provider = provider

    async def open(self, options: TtsOptions) -> TtsStream:
        """Open a stream; raises as :meth:`HostedProvider.open_tts` does."""
        return await self._provider.open_tts(options)

    def voices(self) -> tuple[str, ...]:
        """Return nothing: only the vendor knows its voices."""
        return ()

    async def close(self) -> None:
        """Do nothing: what is shared is closed by the catalogue."""
