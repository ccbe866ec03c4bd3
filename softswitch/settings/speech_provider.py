"""One `[[speech.provider]]`: a hosted or self-hosted service that speaks or understands speech."""

import os
from typing import Annotated, Literal, get_args

from msgspec import Meta

from softswitch.settings.section import Count, Section

ProviderKind = Literal[
    "openai",
    "deepgram",
    "tencent",
    "elevenlabs",
    "cartesia",
    "aliyun",
    "azure",
    "assemblyai",
    "wyoming",
    "vosk",
    "google",
    "sherpa-onnx",
]
"""The protocols that are spoken; each has a folder under `softswitch/speech`."""

KINDS: tuple[str, ...] = get_args(ProviderKind)

RESERVED = frozenset({"builtin", "off", "none"})
"""Names with a meaning of their own on the wire."""

_VARIABLE = "env:"
_SCHEMES = ("http://", "https://", "ws://", "wss://", "tcp://")


class SpeechProvider(Section, frozen=True):
    """See docs/guides/speech-providers.md."""

    name: str
    """Name on the wire, for example "deepgram"."""
    kind: ProviderKind
    """Protocol: one of openai, deepgram, tencent, elevenlabs, cartesia, aliyun, azure, assemblyai, wyoming,
    vosk, google, sherpa-onnx."""
    base_url: str = ""
    """Address of the server. Empty: the vendor's own; needed for wyoming, vosk and sherpa-onnx."""
    key: str = ""
    """API key (tencent: the SecretKey), or "env:NAME" for the value of an environment variable."""
    secret_id: str = ""
    """SecretId of tencent, or "env:NAME"."""
    app_id: str = ""
    """AppId of tencent, or "env:NAME"."""
    region: str = ""
    """Region of azure, for example "westeurope"."""
    mode: Literal["", "rest", "realtime"] = ""
    """How openai recognises: rest sends whole utterances, realtime streams. Empty: realtime at the vendor's
    own address, rest elsewhere."""
    model: str = ""
    """Model that recognises. Empty: the newest general one of the kind."""
    tts_model: str = ""
    """Model that speaks. Empty: the newest general one of the kind."""
    voice: str = ""
    """Voice that speaks. Empty: a common one of the kind, where there is one."""
    language: str = ""
    """Language, as in BCP 47, where a call chooses none. Empty: [speech] language."""
    account: str = ""
    """Account that may use it: name of an API key, or the claim `account`, else the subject, of a token.
    Empty: all. An account's own entry goes before the entry of the same name for all."""
    concurrency: Count = 50
    """Recognitions and syntheses under way at once; further ones are answered "busy". 0: no bound."""
    timeout_s: Annotated[float, Meta(gt=0, le=60)] = 5.0
    """Time to connect, and to the first audio or the final text, in seconds. At most 1 s where a call names
    a successor."""
    options: dict[str, str | int | float | bool] = {}  # noqa: RUF012  (msgspec copies it)
    """Further parameters of the vendor's request, named as in its documentation."""

    def __post_init__(self) -> None:
        """Refuse a name that means something else, and an address of no known scheme.

        Raises:
            ValueError: naming the key.
        """
        if not self.name or self.name in RESERVED or not self.name.isprintable() or " " in self.name:
            raise ValueError(f"name {self.name!r} is empty, has a space, or is one of builtin, off, none")
        if self.base_url and not self.base_url.startswith(_SCHEMES):
            raise ValueError(f"base_url {self.base_url!r} must start with one of {', '.join(_SCHEMES)}")


def secret(text: str) -> str:
    """Return the value of a setting that may be "env:NAME"; empty where the variable is not set."""
    return os.environ.get(text.removeprefix(_VARIABLE), "") if text.startswith(_VARIABLE) else text


def check_providers(providers: tuple[SpeechProvider, ...]) -> None:
    """Refuse two entries of one name for one account.

    Raises:
        ValueError: naming the second one.
    """
    seen: set[tuple[str, str]] = set()
    for provider in providers:
        key = (provider.name, provider.account)
        if key in seen:
            whose = f"account {provider.account!r}" if provider.account else "all accounts"
            raise ValueError(f"provider: {provider.name!r} is there twice for {whose}")
        seen.add(key)
