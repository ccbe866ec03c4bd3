"""Synthesis by HTTP (Microsoft documentation, "Text to speech REST API")."""

from xml.sax.saxutils import escape, quoteattr

from softswitch.speech.hosted.access import Access
from softswitch.speech.hosted.kind import Source, TtsQuery, nearest
from softswitch.speech.hosted.wire import HttpRequest

VOICE = "en-US-AvaMultilingualNeural"
FORMATS = {
    8000: "raw-8khz-16bit-mono-pcm",
    16000: "raw-16khz-16bit-mono-pcm",
    24000: "raw-24khz-16bit-mono-pcm",
    48000: "raw-48khz-16bit-mono-pcm",
}


class AzureTts:
    """A request for each text; raw PCM comes while it is made."""

    def __init__(self, access: Access, wanted: TtsQuery, _source: Source) -> None:
        self._access = access
        self._wanted = wanted
        self.rate = nearest(wanted.sample_rate, tuple(FORMATS), 24000)

    def request(self, text: str) -> HttpRequest:
        """Return the request for a text."""
        voice = self._wanted.voice or VOICE
        language = (
            "-".join(voice.split("-")[:2]) if voice.count("-") >= 2 else self._wanted.language or "en-US"
        )
        spoken = escape(text)
        changes = {
            "rate": (self._wanted.rate, f"{(self._wanted.rate - 1) * 100:+.0f}%"),
            "pitch": (self._wanted.pitch, f"{(self._wanted.pitch - 1) * 100:+.0f}%"),
            "volume": (self._wanted.volume, f"{(self._wanted.volume - 1) * 100:+.0f}%"),
        }
        wanted = " ".join(f'{name}="{said}"' for name, (value, said) in changes.items() if value != 1.0)
        if wanted:
            spoken = f"<prosody {wanted}>{spoken}</prosody>"
        body = (
            '<speak version="1.0" xmlns="http://www.w3.org/2001/10/synthesis" '
            f"xml:lang={quoteattr(language)}><voice name={quoteattr(voice)}>{spoken}</voice></speak>"
        )
        headers = {
            "Ocp-Apim-Subscription-Key": self._access.key,
            "Content-Type": "application/ssml+xml",
            "X-Microsoft-OutputFormat": FORMATS[self.rate],
            "User-Agent": "softswitch",
        }
        return HttpRequest(self._access.url("/cognitiveservices/v1"), body.encode(), headers)

    def decode(self, chunk: bytes, *, last: bool) -> bytes:
        """Return the PCM as it came."""
        del last
        return chunk
