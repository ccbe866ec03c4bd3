"""espeak-ng through ctypes: about a hundred languages, small and immediate.

The library comes with the wheel `espeakng-loader` or from the host (Debian `libespeak-ng1`). The structures
are those of `espeak-ng/speak_lib.h`.
"""

import ctypes as c
import functools
import importlib
import threading
from collections.abc import Iterator

from softswitch.speech.builtin.lead_in import OnAudio
from softswitch.speech.builtin.voice_engine import Utterance, ignore
from softswitch.speech.interface import SpeechUnavailableError

_SYNCHRONOUS = 2
_PIECE_MS = 100
_DONT_EXIT = 0x8000
_UTF8 = 1
_CHARACTERS = 1
_RATE, _PITCH = 1, 3
_EVENT_END, _EVENT_WORD = 0, 1
_WORDS_PER_MINUTE = 165
_GO_ON, _STOP = 0, 1


class _EventId(c.Union):
    _fields_ = (("number", c.c_int), ("name", c.c_char_p), ("string", c.c_char * 8))


class _Event(c.Structure):
    _fields_ = (
        ("type", c.c_int),
        ("unique_identifier", c.c_uint),
        ("text_position", c.c_int),
        ("length", c.c_int),
        ("audio_position", c.c_int),
        ("sample", c.c_int),
        ("user_data", c.c_void_p),
        ("id", _EventId),
    )


class _VoiceEntry(c.Structure):
    _fields_ = (
        ("name", c.c_char_p),
        ("languages", c.c_void_p),
        ("identifier", c.c_char_p),
        ("gender", c.c_ubyte),
        ("age", c.c_ubyte),
        ("variant", c.c_ubyte),
        ("xx1", c.c_ubyte),
        ("score", c.c_int),
        ("spare", c.c_void_p),
    )


_Callback = c.CFUNCTYPE(c.c_int, c.POINTER(c.c_short), c.c_int, c.POINTER(_Event))


class Espeak:
    """The library, which exists once in a process; one thread at a time (:class:`VoiceThread`)."""

    def __init__(self) -> None:
        """Load the library.

        Raises:
            SpeechUnavailableError: it is neither installed as a wheel nor on the host.
        """
        self._lib, data = _library()
        _declare(self._lib)
        self._rate = self._lib.espeak_Initialize(_SYNCHRONOUS, _PIECE_MS, data, _DONT_EXIT)
        if self._rate <= 0:
            raise SpeechUnavailableError("espeak-ng does not find its data")
        self._busy = threading.Lock()
        self._callback = _Callback(self._take)  # The library keeps the address, we keep the object.
        self._lib.espeak_SetSynthCallback(self._callback)
        self._on_audio: OnAudio = ignore
        self._failure: BaseException | None = None
        self._text = ""
        self._words: list[tuple[str, int]] = []

    def languages(self) -> list[str]:
        """Return the names by which voices are chosen: languages such as ``de`` or ``en-us``."""
        entries = self._lib.espeak_ListVoices(None)
        found: set[str] = set()
        index = 0
        while entries[index]:
            found.update(_names(entries[index].contents.languages))
            index += 1
        return sorted(found)

    def speak(self, utterance: Utterance, on_audio: OnAudio) -> list[tuple[str, int]]:
        """Speak, and return where the words begin, ms; see :class:`VoiceEngine`."""
        with self._busy:
            return self._speak(utterance, on_audio)

    def _speak(self, utterance: Utterance, on_audio: OnAudio) -> list[tuple[str, int]]:
        if self._lib.espeak_SetVoiceByName(utterance.voice.encode()) != 0:
            raise SpeechUnavailableError(f"espeak-ng has no voice {utterance.voice!r}")
        words_per_minute = round(_WORDS_PER_MINUTE * utterance.rate)
        self._lib.espeak_SetParameter(_RATE, min(max(words_per_minute, 80), 450), 0)
        self._lib.espeak_SetParameter(_PITCH, min(max(round(50 * utterance.pitch), 0), 99), 0)
        self._text, self._words = utterance.text.replace("\0", " "), []
        self._on_audio, self._failure = on_audio, None
        text = self._text.encode("utf-8", "replace") + b"\0"
        self._lib.espeak_Synth(text, len(text), 0, _CHARACTERS, 0, _UTF8, None, None)
        if self._failure is not None:
            raise self._failure
        return self._words

    def _take(self, samples: "c._Pointer[c.c_short]", count: int, events: "c._Pointer[_Event]") -> int:
        """Take a piece (called by the library). What goes wrong is kept: nothing may be raised through C."""
        try:
            index = 0
            while (event := events[index]).type != _EVENT_END:
                if event.type == _EVENT_WORD:
                    begin = event.text_position - 1
                    self._words.append((self._text[begin : begin + event.length], event.audio_position))
                index += 1
            if not samples or count <= 0:
                return _GO_ON
            wanted = self._on_audio(c.string_at(samples, count * 2), self._rate)
        except BaseException as error:  # noqa: BLE001
            self._failure = error
            return _STOP
        return _GO_ON if wanted else _STOP


def _names(address: int) -> Iterator[str]:
    """Yield the languages of a voice: a priority byte and a name each, until a zero."""
    while c.string_at(address, 1) != b"\0":
        name = c.string_at(address + 1)
        yield name.decode()
        address += len(name) + 2


@functools.cache
def engine() -> Espeak:
    """Return the one engine of this process: the library has one state and keeps its callback's address."""
    return Espeak()


def _library() -> tuple[c.CDLL, bytes | None]:
    """Return the library and its folder of data, None where it knows that itself."""
    try:
        loader = importlib.import_module("espeakng_loader")
        return c.CDLL(loader.get_library_path()), str(loader.get_data_path()).encode()
    except (ImportError, OSError, RuntimeError):
        pass
    try:
        return c.CDLL("libespeak-ng.so.1"), None
    except OSError as error:
        raise SpeechUnavailableError(
            f"espeak-ng is not installed (pip package espeakng-loader): {error}"
        ) from error


def _declare(lib: c.CDLL) -> None:
    """Give the functions their types."""
    number, text, pointer = c.c_int, c.c_char_p, c.c_void_p
    for name, result, arguments in (
        ("espeak_Initialize", number, (number, number, text, number)),
        ("espeak_SetSynthCallback", None, (_Callback,)),
        ("espeak_SetVoiceByName", number, (text,)),
        ("espeak_SetParameter", number, (number, number, number)),
        ("espeak_ListVoices", c.POINTER(c.POINTER(_VoiceEntry)), (pointer,)),
        (
            "espeak_Synth",
            number,
            (text, c.c_size_t, c.c_uint, number, c.c_uint, c.c_uint, pointer, pointer),
        ),
    ):
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
