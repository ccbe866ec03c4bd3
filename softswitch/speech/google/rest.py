"""Recognition and synthesis by HTTP (Google Cloud documentation, "speech:recognize", "text:synthesize")."""

import binascii
from base64 import b64decode, b64encode
from math import log10

from softswitch.speech.hosted.access import Access
from softswitch.speech.hosted.kind import AsrQuery, Source, TtsQuery
from softswitch.speech.hosted.wire import (
    Heard,
    HttpRequest,
    Unreadable,
    number_of,
    objects,
    read_json,
    text_of,
    to_json,
)

MODEL = "latest_short"
MAX_BODY = 25_000_000
_HEADER = 44
"""Bytes of the WAV header before LINEAR16."""


def _request(access: Access, path: str, body: dict[str, object]) -> HttpRequest:
    headers = {"X-Goog-Api-Key": access.key, "Content-Type": "application/json"}
    return HttpRequest(access.url(path), to_json(body).encode(), headers)


class GoogleAsr:
    """A request for each utterance."""

    rate = 16000

    def __init__(self, access: Access, wanted: AsrQuery, _source: Source) -> None:
        self._access = access
        self._wanted = wanted

    def request(self, pcm: bytes) -> HttpRequest:
        """Return the request for an utterance."""
        config: dict[str, object] = {
            "encoding": "LINEAR16",
            "sampleRateHertz": self.rate,
            "languageCode": self._wanted.language or "en-US",
            "model": self._wanted.model or MODEL,
            "enableAutomaticPunctuation": True,
        }
        if self._wanted.hotwords:
            config["speechContexts"] = [{"phrases": list(self._wanted.hotwords)}]
        config |= self._access.options
        content = b64encode(pcm).decode()
        return _request(
            self._access, "/v1/speech:recognize", {"config": config, "audio": {"content": content}}
        )

    def receive(self, body: bytes) -> Heard | Unreadable:
        """Read the best text; without speech there are no results."""
        found = read_json(body)
        if found is None or not isinstance(found.get("results", []), list):
            return Unreadable()
        best = [
            first
            for result in objects(found.get("results"))
            if (first := next(objects(result.get("alternatives")), None)) is not None
        ]
        text = " ".join(text_of(one, "transcript").strip() for one in best).strip()
        return Heard(text, final=True, confidence=number_of(best[0], "confidence") if best else None)


class GoogleTts:
    """A request for each text; the audio is in the JSON of the answer."""

    def __init__(self, access: Access, wanted: TtsQuery, _source: Source) -> None:
        self._access = access
        self._wanted = wanted
        self.rate = wanted.sample_rate or 24000
        self._body = bytearray()

    def request(self, text: str) -> HttpRequest:
        """Return the request for a text."""
        wanted = self._wanted
        voice = {"languageCode": wanted.language or "-".join(wanted.voice.split("-")[:2]) or "en-US"}
        if wanted.voice:
            voice = {"languageCode": "-".join(wanted.voice.split("-")[:2]), "name": wanted.voice}
        audio: dict[str, object] = {"audioEncoding": "LINEAR16", "sampleRateHertz": self.rate}
        if wanted.rate != 1.0:
            audio["speakingRate"] = min(max(wanted.rate, 0.25), 2.0)
        if wanted.volume != 1.0:
            audio["volumeGainDb"] = round(min(max(20 * log10(max(wanted.volume, 0.001)), -96.0), 16.0), 1)
        audio |= self._access.options
        return _request(
            self._access,
            "/v1/text:synthesize",
            {"input": {"text": text}, "voice": voice, "audioConfig": audio},
        )

    def decode(self, chunk: bytes, *, last: bool) -> bytes:
        """Return the PCM once the answer is whole."""
        self._body += chunk
        if len(self._body) > MAX_BODY:
            raise ValueError("the answer is too large")
        if not last:
            return b""
        found = read_json(bytes(self._body))
        content = "" if found is None else text_of(found, "audioContent")
        try:
            wav = b64decode(content, validate=True)
        except (binascii.Error, ValueError):
            wav = b""
        if not wav:
            raise ValueError("the answer has no audioContent")
        return wav[_HEADER:] if wav[:4] == b"RIFF" else wav
