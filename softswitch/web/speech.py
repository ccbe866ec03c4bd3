"""What speaks and what recognises here, for the lists of the page and of other clients."""

import logging

import msgspec
from aiohttp import web

from softswitch import settings
from softswitch.speech.provider import Providers
from softswitch.web.auth import principal
from softswitch.web.keys import RESOURCES

logger = logging.getLogger(__name__)


class SpeechChoice(msgspec.Struct, frozen=True, kw_only=True):
    """A provider of speech."""

    name: str
    """Name for `provider` on the wire."""
    hosted: bool
    """Whether a service outside of this process works."""
    voices: tuple[str, ...] = ()
    """Names for `speaker`; hosted services know further ones."""
    languages: tuple[str, ...] = ()
    """Languages that are known (BCP 47); hosted services know further ones."""


class SpeechChoices(msgspec.Struct, frozen=True, kw_only=True):
    """All providers of synthesis and of recognition."""

    tts: tuple[SpeechChoice, ...]
    asr: tuple[SpeechChoice, ...]
    vad: tuple[str, ...]
    """Detectors of speech that work on this host."""
    defaults: dict[str, str]
    """Providers, voice and language where a call chooses none."""


async def list_speech(request: web.Request) -> web.Response:
    """Serve ``GET /speech``: the providers of speech with their voices and languages."""
    resources = request.app[RESOURCES]
    found = choices(resources.providers, resources.settings.speech, principal(request).account)
    return web.json_response(body=msgspec.json.encode(found))


def choices(providers: Providers, speech: settings.Speech, account: str) -> SpeechChoices:
    """Return what an account may choose from; a provider that cannot work here is left out.

    Args:
        providers: The catalogue.
        speech: The defaults.
        account: Account of the client.
    """
    hosted = tuple(
        SpeechChoice(
            name=name,
            hosted=True,
            voices=(row.voice,) if row.voice else (),
            languages=(row.language,) if row.language else (),
        )
        for name in providers.hosted.names(account)
        if (row := providers.hosted.find(name, account, {})) is not None
    )
    return SpeechChoices(
        tts=(*_speakers(providers), *hosted),
        asr=(*_listeners(providers), *hosted),
        vad=tuple(providers.vads()),
        defaults={
            "tts": speech.tts,
            "asr": speech.asr,
            "vad": speech.vad,
            "voice": speech.voice,
            "language": speech.language,
        },
    )


def _speakers(providers: Providers) -> list[SpeechChoice]:
    found = []
    for name in providers.names("tts"):
        try:
            speaker = providers.tts(name)
            voices, languages = tuple(speaker.voices()), tuple(getattr(speaker, "languages", ()))
        except Exception as error:  # noqa: BLE001  (a plug-in's failure leaves the others)
            logger.warning("a voice is missing", extra={"provider": name, "error": str(error)})
            continue
        found.append(SpeechChoice(name=name, hosted=False, voices=voices, languages=languages))
    return found


def _listeners(providers: Providers) -> list[SpeechChoice]:
    found = []
    for name in providers.names("asr"):
        try:
            languages = tuple(getattr(providers.asr(name), "languages", ()))
        except Exception as error:  # noqa: BLE001  (a plug-in's failure leaves the others)
            logger.warning("a recogniser is missing", extra={"provider": name, "error": str(error)})
            continue
        found.append(SpeechChoice(name=name, hosted=False, languages=languages))
    return found
