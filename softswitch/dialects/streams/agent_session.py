"""What the speech-to-speech dialects have in common: settings, what was heard, tools; used by this package.

The service is a voice agent: it hears the party, answers by itself, and calls tools of the application. Its
settings are an object in its own words: that of the row `[[stream]]`, with that of the request over it.
"""

from abc import abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from softswitch.call.interfaces import StreamRequest
from softswitch.call.vocabulary.stream_words import ServiceText, ToolCall
from softswitch.dialects.streams.credentials import Credentials
from softswitch.dialects.streams.json_session import JsonSession, encode, read_object
from softswitch.dialects.streams.said import Cut, Said
from softswitch.errors import MalformedError
from softswitch.legs.stream.dialect import (
    Attempt,
    Audio,
    AudioFormat,
    Clear,
    Handshake,
    PlaceMark,
    StreamTraits,
    Values,
)
from softswitch.legs.stream.formats import choose_format, refuse_two_tracks
from softswitch.settings import Stream

MOST_ARGUMENTS: Final = 65_536
"""Characters of the arguments of a tool call."""
MOST_SAID: Final = 65_536
"""Characters of a text of the service."""
_LEAD_IN_FRAMES: Final = 25
"""Frames before the detected begin of speech that belong to it: half a second."""


class MakeSession(Protocol):
    """Makes a session; ``session`` are the settings of both sides as one, which may be changed."""

    def __call__(
        self, request: StreamRequest, row: Stream, form: AudioFormat, session: dict[str, Any]
    ) -> "AgentSession":
        """Return the session of a new stream."""


class AgentStreams:
    """A speech-to-speech dialect with its credentials (a ``StreamDialect``)."""

    formats: Sequence[AudioFormat]
    """Formats of the audio to the service, the default first."""
    session: MakeSession
    """Class of its sessions."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def open(self, request: StreamRequest) -> "AgentSession":
        """Return the session of a new stream.

        Raises:
            MalformedError: Something is requested that the dialect does not have; the error names the field.
        """
        if not request.two_way:
            raise MalformedError(f"stream_type: {request.protocol!r} speaks; use twoway", field="stream_type")
        refuse_two_tracks(request)
        form = choose_format(request, self.formats)
        row = self._credentials.find(request)
        return self.session(request, row, form, merged(row.session, request.session))


class AgentSession(JsonSession):
    """One stream to a voice agent."""

    def __init__(self, request: StreamRequest, row: Stream, traits: StreamTraits) -> None:
        super().__init__(request)
        self.traits = traits
        self._token = row.token
        self._said = Said()
        self._tools: dict[str, str] = {}
        """Names of the tool calls that wait for a result, by id."""

    # --- the handshake --------------------------------------------------------------------

    @abstractmethod
    def _authorization(self, token: str) -> dict[str, str]:
        """Return the header that carries the key."""

    def handshake(self, attempt: Attempt) -> Handshake:
        """Return the key of the settings, unless the request brings its own."""
        headers = self._authorization(self._token) if self._token else {}
        given = {name.lower() for name in self._request.headers}
        return Handshake(headers={name: text for name, text in headers.items() if name.lower() not in given})

    # --- what is said and heard -------------------------------------------------------------

    def _speak(self, utterance: str, data: bytes, form: AudioFormat | None = None) -> Values:
        """Return audio of an utterance; none where the utterance was cut off."""
        found = self._said.utterance(utterance)
        if found is None:
            return ()
        self._said.add_audio(found, duration_ms(data, form or self.traits.receives))
        return (Audio(data, form),)

    def _write(self, utterance: str, text: str) -> None:
        """Note words of an utterance."""
        found = self._said.utterance(utterance)
        if found is not None:
            found.write(text)

    def _end(self, utterance: str) -> Values:
        """Return the mark behind an utterance whose audio is complete; it may be given once for each."""
        return (PlaceMark(utterance),)

    def _interrupt(self) -> Values:
        """Return the order to clear what waits."""
        self._said.clear()
        return (Clear(),)

    def heard(self, name: str, cleared: bool, now_ms: int) -> Values:
        """Return the words of an utterance that was heard to its end."""
        utterance = None if cleared else self._said.heard(name)
        if utterance is None or not utterance.audio_ms:
            return ()
        total = round(utterance.audio_ms)
        return (ServiceText(utterance.text.strip(), total, total),)

    def cut(self, played_ms: int, now_ms: int) -> Values:
        """Return the words that were heard before the cut, and what the service has to know of it."""
        values: list[Any] = []
        for cut in self._said.cleared(played_ms):
            one = cut.utterance
            if one.audio_ms:
                heard = one.words_before(cut.heard_ms)
                values.append(ServiceText(heard, cut.heard_ms, round(one.audio_ms), interrupted=True))
                values += self._correct(cut, heard)
        return values

    def _correct(self, cut: Cut, heard: str) -> Values:
        """Return what tells the service how much of an utterance was heard, where it has a message for it."""
        return ()

    def ended(self, now_ms: int) -> Values:
        """Return marks behind what the service had not completed: it is heard to its end all the same."""
        return [PlaceMark(name) for name in self._said.names()]

    # --- tools ----------------------------------------------------------------------------

    def _call_tool(self, tool_call: str, name: str, arguments: object) -> Values:
        """Return a tool call.

        Raises:
            MalformedError: The arguments are neither an object nor the JSON text of one, or too long.
        """
        if isinstance(arguments, str):
            if len(arguments) > MOST_ARGUMENTS:
                raise MalformedError(f"arguments: more than {MOST_ARGUMENTS} characters", field="arguments")
            arguments = read_object(arguments.encode()) if arguments.strip() else {}
        if arguments is None:
            arguments = {}
        if not isinstance(arguments, dict) or len(encode(arguments)) > MOST_ARGUMENTS:
            raise MalformedError(
                f"arguments: must be an object of at most {MOST_ARGUMENTS} characters", field="arguments"
            )
        self._tools[tool_call] = name
        return (ToolCall(tool_call, name, arguments),)


class PieceSession(AgentSession):
    """A stream whose service does not say which audio is the last of an answer.

    A mark stands behind each piece. An answer is heard when that behind its last piece is passed.
    """

    def __init__(self, request: StreamRequest, row: Stream, traits: StreamTraits) -> None:
        super().__init__(request, row, traits)
        self._answer = 1
        """Number of the present answer."""
        self._pieces = 0
        """Number of the messages of audio."""

    @property
    def _name(self) -> str:
        """Name of the present answer."""
        return str(self._answer)

    def _next_answer(self) -> None:
        self._answer += 1

    def _speak_piece(self, data: bytes, form: AudioFormat | None = None) -> Values:
        """Return audio of the present answer, and the mark behind it."""
        values = self._speak(self._name, data, form)
        self._pieces += 1
        return *values, PlaceMark(f"{self._name}/{self._pieces}")

    def _interrupt_answer(self) -> Values:
        """Return the order to clear what waits; audio from now on is another answer."""
        values = self._interrupt()
        self._next_answer()
        return values

    def heard(self, name: str, cleared: bool, now_ms: int) -> Values:
        """Return the words of an answer that was heard to its last piece."""
        answer, _, piece = name.partition("/")
        if int(piece) != self._pieces:
            return ()
        values = super().heard(answer, cleared, now_ms)
        if values and answer == self._name:
            self._next_answer()
        return values

    def ended(self, now_ms: int) -> Values:
        """Return nothing: all marks are there."""
        return ()


class LeadIn:
    """Audio held back while the party is silent, where the switch detects its speech."""

    def __init__(self) -> None:
        """Begin in silence."""
        self._frames: deque[bytes] = deque(maxlen=_LEAD_IN_FRAMES)
        self._speaks = False

    def passes(self, audio: bytes) -> bool:
        """Tell whether a frame is sent at once; if not, it is kept for the begin of speech."""
        if not self._speaks:
            self._frames.append(audio)
        return self._speaks

    def begin(self) -> bytes:
        """Return the audio just before the speech, and let all audio pass."""
        self._speaks = True
        audio = b"".join(self._frames)
        self._frames.clear()
        return audio

    def end(self) -> None:
        """Hold audio back again."""
        self._speaks = False


def duration_ms(data: bytes, form: AudioFormat) -> float:
    """Return the duration of audio, milliseconds."""
    width = 2 if form.encoding == "pcm16" else 1
    return len(data) * 1000 / (width * form.sample_rate)


def merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return two nested objects as a new one; the values of the second are over those of the first."""
    both = {name: merged(value, {}) if isinstance(value, Mapping) else value for name, value in one.items()}
    for name, value in other.items():
        before = both.get(name)
        if isinstance(value, Mapping):
            both[name] = merged(before if isinstance(before, dict) else {}, value)
        else:
            both[name] = value
    return both


def result_text(result: object) -> str:
    """Return the result of a tool as text: a text as it is, anything else as JSON."""
    return result if isinstance(result, str) else msgspec.json.encode(result).decode()


def complaint_of(error: object) -> str:
    """Return what a service says about an error, within a bound."""
    if isinstance(error, dict):
        parts = [str(error[name]) for name in ("code", "message", "description") if error.get(name)]
        error = ": ".join(parts) or error
    return str(error)[:500]
