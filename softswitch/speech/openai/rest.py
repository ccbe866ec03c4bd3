"""Speech and transcription by HTTP (OpenAI documentation, "Create speech", "Create transcription")."""

import struct

from softswitch.audio.wav import header
from softswitch.speech.hosted.access import Access
from softswitch.speech.hosted.kind import AsrQuery, Source, TtsQuery, short
from softswitch.speech.hosted.wire import Heard, HttpRequest, Unreadable, read_json, to_json

ASR_MODEL = "gpt-4o-mini-transcribe"
ASR_MODEL_ELSEWHERE = "whisper-1"
TTS_MODEL = "gpt-4o-mini-tts"
TTS_MODEL_ELSEWHERE = "tts-1"
VOICE = "alloy"
RATE = 24000
"""Hz of `response_format` pcm; a server that sends something else sends a WAV header (see `decode`)."""
_RIFF = b"RIFF"


def multipart(fields: dict[str, str], file: tuple[str, bytes], boundary: str) -> bytes:
    """Return the body of a form with one WAV file (RFC 7578).

    Args:
        fields: names and values.
        file: name of the field, and the content.
        boundary: occurs in none of them.
    """
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    name, content = file
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="speech.wav"\r\n'
        "Content-Type: audio/wav\r\n\r\n"
    )
    return b"".join([*parts, head.encode(), content, f"\r\n--{boundary}--\r\n".encode()])


class RestAsr:
    """A transcription of each utterance."""

    rate = 16000

    def __init__(self, access: Access, wanted: AsrQuery, source: Source) -> None:
        self._access = access
        self._wanted = wanted
        self._source = source

    def request(self, pcm: bytes) -> HttpRequest:
        """Return the upload of an utterance."""
        default = ASR_MODEL_ELSEWHERE if self._access.own_url else ASR_MODEL
        fields = {"model": self._wanted.model or default, "response_format": "json"}
        if self._wanted.language:
            fields["language"] = short(self._wanted.language)
        if self._wanted.hotwords:
            fields["prompt"] = ", ".join(self._wanted.hotwords)
        fields |= {name: str(value) for name, value in self._access.options.items()}
        boundary = f"softswitch-{self._source.new_id()}"
        return HttpRequest(
            self._access.url("/audio/transcriptions"),
            multipart(fields, ("file", header(self.rate, 1, len(pcm)) + pcm), boundary),
            {**self._access.bearer(), "Content-Type": f"multipart/form-data; boundary={boundary}"},
        )

    def receive(self, body: bytes) -> Heard | Unreadable:
        """Read the text."""
        found = read_json(body)
        if found is None or not isinstance(found.get("text"), str):
            return Unreadable()
        return Heard(found["text"].strip(), final=True)


class RestTts:
    """Speech for each text, as raw PCM."""

    rate = RATE

    def __init__(self, access: Access, wanted: TtsQuery, _source: Source) -> None:
        self._access = access
        self._wanted = wanted
        self._head: bytes | None = b""

    def request(self, text: str) -> HttpRequest:
        """Return the request for a text."""
        default = TTS_MODEL_ELSEWHERE if self._access.own_url else TTS_MODEL
        body: dict[str, object] = {
            "model": self._wanted.model or default,
            "input": text,
            "voice": self._wanted.voice or VOICE,
            "response_format": "pcm",
        }
        if self._wanted.rate != 1.0:
            body["speed"] = min(max(self._wanted.rate, 0.25), 4.0)
        body |= self._access.options
        return HttpRequest(
            self._access.url("/audio/speech"),
            to_json(body).encode(),
            {**self._access.bearer(), "Content-Type": "application/json"},
        )

    def decode(self, chunk: bytes, *, last: bool) -> bytes:
        """Return the PCM; a WAV header, which some servers send all the same, is read and left out."""
        if self._head is None:
            return chunk
        self._head += chunk
        if self._head[:4] == _RIFF[: len(self._head)] and not last:
            at = self._head.find(b"data")
            if at < 0 or len(self._head) < at + 8:
                if len(self._head) > 65536:
                    raise ValueError("the WAV header has no end")
                return b""
            self.rate = struct.unpack_from("<I", self._head, 24)[0]
            pcm, self._head = self._head[at + 8 :], None
            return pcm
        if self._head[:1] in (b"{", b"<"):
            raise ValueError("the answer is text rather than audio")
        pcm, self._head = self._head, None
        return pcm
