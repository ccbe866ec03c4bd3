"""Real-time recognition (Tencent Cloud documentation, ASR, "WebSocket")."""

from collections.abc import Sequence

from softswitch.speech.hosted.access import Access
from softswitch.speech.hosted.base import AsrDefaults
from softswitch.speech.hosted.kind import AsrQuery, Source, short
from softswitch.speech.hosted.wire import (
    AsrEvent,
    Endpoint,
    Failed,
    Heard,
    Message,
    Ready,
    Unreadable,
    at,
    number_of,
    read_json,
    text_of,
    to_json,
)
from softswitch.speech.tencent.signing import signed_url

MODEL = "16k_zh"
_LANGUAGES = frozenset(
    {"zh", "en", "ja", "ko", "vi", "ms", "id", "fil", "th", "pt", "tr", "ar", "es", "hi", "fr", "de"}
)
"""Languages with an engine ``16k_<language>``."""
_CODES = {4002: 401, 4003: 403, 4004: 402, 4005: 402, 4006: 429, 4001: 400, 4007: 400}
_VALID_S = 86400
_FOUND_END_MS = 500


class TencentAsr(AsrDefaults):
    """Sentences end where the vendor hears silence, which is sent after each utterance."""

    awaits_ready = True
    answers_finalize = False
    tail_ms = 1500
    keep_alive_s = 4.0
    """The vendor closes after 15 s without audio, and may fail after 6 s."""

    def __init__(self, access: Access, wanted: AsrQuery, source: Source) -> None:
        self._access = access
        self._wanted = wanted
        self._source = source

    def endpoint(self) -> Endpoint:
        """Return the signed address."""
        now = int(self._source.now())
        spoken = short(self._wanted.language)
        model = self._wanted.model or (f"16k_{spoken}" if spoken in _LANGUAGES else MODEL)
        self.rate = 8000 if model.startswith("8k") else 16000
        query: dict[str, object] = {
            "secretid": self._access.secret_id,
            "timestamp": now,
            "expired": now + _VALID_S,
            "nonce": int(self._source.new_id()[:7], 16),
            "engine_model_type": model,
            "voice_id": self._source.new_id(),
            "voice_format": 1,
            "needvad": 1,
            "vad_silence_time": _FOUND_END_MS,
        }
        if self._wanted.hotwords:
            # Words with weights of 1 to 11.
            query["hotword_list"] = ",".join(f"{word}|10" for word in self._wanted.hotwords)
        query |= self._access.options
        url = self._access.socket_url(f"/asr/v2/{self._access.app_id}")
        return Endpoint(signed_url(url, query, self._access.key, field="signature"))

    def bye(self) -> Sequence[Message]:
        """Return the end of the stream."""
        return (to_json({"type": "end"}),)

    def receive(self, message: Message) -> Sequence[AsrEvent]:
        """Read a message: slice_type 0 and 1 are deltas, 2 is a final."""
        found = read_json(message)
        code = None if found is None else number_of(found, "code")
        if found is None or code is None:
            return (Unreadable(),)
        if code:
            return (Failed(text_of(found, "message"), _CODES.get(int(code), 502)),)
        slice_type = at(found, "result", "slice_type")
        if slice_type is None:
            return () if found.get("final") else (Ready(),)
        start, end = number_of(found, "result", "start_time"), number_of(found, "result", "end_time")
        return (
            Ready(),
            Heard(
                text_of(found, "result", "voice_text_str").strip(),
                slice_type == 2,
                None if start is None else round(start),
                None if end is None else round(end),
            ),
        )
