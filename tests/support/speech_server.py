"""A speech server of one's own, as operators run them: the REST API of OpenAI before real models."""

import asyncio
import struct
from typing import Any

from aiohttp import web

from softswitch.speech.builtin.neural_ears import NeuralEars
from softswitch.speech.builtin.neural_voice import PIECE, NeuralVoice
from tests.support.servers import Files

_RIFF_BYTES = 44


class SpeechServer(Files):
    """Speaks and understands English with the models that the switch has built in."""

    def __init__(self, key: str) -> None:
        """Load the models.

        Args:
            key: what clients must send as their key.
        """
        super().__init__()
        self._key = key
        self._ears, self._voice = NeuralEars(), NeuralVoice()
        self._busy = asyncio.Lock()
        self.understood: list[str] = []
        """Texts of the utterances that were sent."""
        self.spoken: list[str] = []
        """Texts that were asked for."""
        self.answers["audio/speech"] = self._speak
        self.answers["audio/transcriptions"] = self._transcribe

    def _check(self, request: web.Request) -> None:
        if request.headers.get("Authorization") != f"Bearer {self._key}":
            raise web.HTTPUnauthorized

    async def _speak(self, request: web.Request) -> web.Response:
        self._check(request)
        wanted = await request.json()
        self.spoken.append(wanted["input"])
        return web.Response(body=await self._work(self._said, wanted["input"]), content_type="audio/pcm")

    async def _transcribe(self, request: web.Request) -> web.Response:
        self._check(request)
        form = await request.post()
        file = form["file"]
        assert isinstance(file, web.FileField)
        with file.file:
            wav = file.file.read()
        (rate,) = struct.unpack_from("<I", wav, 24)
        assert rate == 16000
        text = await self._work(self._heard, wav[_RIFF_BYTES:])
        self.understood.append(text)
        return web.json_response({"text": text})

    async def _work(self, work: Any, what: Any) -> Any:
        async with self._busy:
            return await asyncio.to_thread(work, what)

    def _heard(self, pcm: bytes) -> str:
        return str(self._ears.work({}, pcm, lambda _: None)["text"])

    def _said(self, text: str) -> bytes:
        pieces: list[bytes] = []
        self._voice.work({"text": text, "rate": 1.0, "pitch": 1.0}, b"", pieces.append)
        return b"".join(piece[PIECE.size :] for piece in pieces)
