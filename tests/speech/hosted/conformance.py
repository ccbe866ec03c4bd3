"""What every provider has to stand: fixtures and helpers of the suite (test_asr_suite, test_tts_suite)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from softswitch.egress import EgressClient
from softswitch.settings import Speech, SpeechProvider
from softswitch.speech.hosted.accounts import ProviderCounters
from softswitch.speech.hosted.catalogue import HostedProviders
from softswitch.speech.hosted.provider import HostedProvider
from softswitch.speech.interface import AsrDelta, AsrFinal, AsrStream, SpeechError
from softswitch.speech.phrases import PhraseCache
from tests.speech.hosted.vendor import Vendor, quiet, tone

NAME = "acme"
PATIENCE_S = 10.0


class Bench:
    """A provider against the vendor's server."""

    def __init__(self, vendor: Vendor, providers: HostedProviders, provider: HostedProvider) -> None:
        self.vendor = vendor
        self.providers = providers
        self.provider = provider

    @property
    def counters(self) -> ProviderCounters:
        return self.providers.counters()[(NAME, "")]


@asynccontextmanager
async def bench(make: type[Vendor], **settings: Any) -> AsyncIterator[Bench]:
    """Give a provider of the vendor's kind; its server runs."""
    async with make() as vendor:
        row = {"timeout_s": PATIENCE_S, **vendor.settings(), **settings}
        speech = Speech(
            provider=(SpeechProvider(name=NAME, kind=vendor.kind, base_url=vendor.base_url, **row),)  # type: ignore[attr-defined]
        )
        providers = HostedProviders(speech, EgressClient(), PhraseCache(1_000_000))
        provider = providers.find(NAME, "", {})
        assert provider is not None
        try:
            yield Bench(vendor, providers, provider)
        finally:
            await providers.close()


def say(stream: AsrStream, loud_ms: int) -> None:
    """Push an utterance in pieces of 20 ms, as calls do, and fall silent."""
    pcm = tone(loud_ms) + quiet(200)
    for begin in range(0, len(pcm), 640):
        stream.push(pcm[begin : begin + 640])
    stream.finalize()


async def until_final(stream: AsrStream) -> tuple[list[AsrDelta], AsrFinal]:
    """Return the deltas and the final of the next utterance; an error fails the test."""
    deltas: list[AsrDelta] = []
    async with asyncio.timeout(60):
        async for output in stream:
            match output:
                case AsrFinal():
                    return deltas, output
                case AsrDelta():
                    deltas.append(output)
                case SpeechError():
                    raise AssertionError(output)
    raise AssertionError("the stream ended without a final")


async def until_error(stream: AsrStream) -> SpeechError:
    """Return the error that ends the stream."""
    async with asyncio.timeout(60):
        errors = [output async for output in stream if isinstance(output, SpeechError)]
    assert len(errors) == 1
    return errors[0]
