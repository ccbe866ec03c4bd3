"""flite through ctypes, where the host has it: four English voices, streamed while they are made.

The structures are those of flite 2.x (`cst_wave.h`, `cst_voice.h`, `cst_audio.h`); the library is Debian's
`libflite1`.
"""

import ctypes as c
import functools
import threading
from collections.abc import Iterator

from softswitch.speech.builtin.lead_in import OnAudio
from softswitch.speech.builtin.scripts import ascii_of
from softswitch.speech.builtin.voice_engine import Utterance, ignore
from softswitch.speech.interface import SpeechUnavailableError

VOICES = ("slt", "rms", "awb", "kal", "kal16")
"""Two women's and men's voices at 16 kHz, and the small diphone voice at 8 and 16 kHz."""

_PIECE = 1600
"""Samples in a piece: each one takes the interpreter's lock, which the tick needs too."""
_GO_ON, _STOP = 0, -1
_WORD_BEGINS = b"daughter1.R:SylStructure.daughter1.daughter1.R:Segment.p.end"


class _Wave(c.Structure):
    _fields_ = (
        ("type", c.c_char_p),
        ("sample_rate", c.c_int),
        ("num_samples", c.c_int),
        ("num_channels", c.c_int),
        ("samples", c.POINTER(c.c_short)),
    )


class _Voice(c.Structure):
    _fields_ = (("name", c.c_char_p), ("features", c.c_void_p))


_Callback = c.CFUNCTYPE(c.c_int, c.POINTER(_Wave), c.c_int, c.c_int, c.c_int, c.c_void_p)


class _Streaming(c.Structure):
    _fields_ = (
        ("min_buffsize", c.c_int),
        ("asc", _Callback),
        ("mimetype", c.c_char_p),
        ("utt", c.c_void_p),
        ("item", c.c_void_p),
        ("userdata", c.c_void_p),
    )


def _library(name: str) -> c.CDLL:
    try:
        return c.CDLL(f"lib{name}.so.1", mode=c.RTLD_GLOBAL)
    except OSError as error:
        raise SpeechUnavailableError(f"flite is not installed (Debian package libflite1): {error}") from error


class Flite:
    """The library and its voices, of which a process has one; one sentence at a time. See :func:`engine`."""

    def __init__(self) -> None:
        """Load the library.

        Raises:
            SpeechUnavailableError: it is not installed.
        """
        # The order matters: each library looks for the symbols of those before it.
        self._lib = _library("flite")
        for name in ("flite_cmulex", "flite_usenglish"):
            _library(name)
        _declare(self._lib)
        self._lib.flite_init()
        self._busy = threading.Lock()
        self._on_audio: OnAudio = ignore
        self._failure: BaseException | None = None
        self._callback = _Callback(self._take)  # The library keeps the address, we keep the object.
        self._voices: dict[str, int] = {}

    def speak(self, utterance: Utterance, on_audio: OnAudio) -> list[tuple[str, int]]:
        """Speak, and return where the words begin, ms; see :class:`VoiceEngine`."""
        with self._busy:
            return self._speak(utterance, on_audio)

    def _speak(self, utterance: Utterance, on_audio: OnAudio) -> list[tuple[str, int]]:
        voice = self._voice(utterance.voice)
        features = c.cast(voice, c.POINTER(_Voice)).contents.features
        self._lib.feat_set_float(features, b"duration_stretch", 1.0 / min(max(utterance.rate, 0.4), 3.0))
        self._lib.feat_set_float(features, b"f0_shift", min(max(utterance.pitch, 0.5), 2.0))
        self._on_audio, self._failure = on_audio, None
        spoken = self._lib.flite_synth_text(ascii_of(utterance.text).encode(), voice)
        if not spoken:
            return []
        try:
            if self._failure is not None:
                raise self._failure
            return list(self._words(spoken))
        finally:
            self._lib.delete_utterance(spoken)

    def _voice(self, name: str) -> int:
        """Return a voice, loaded when it is first asked for and set up to stream."""
        if name not in self._voices:
            register = getattr(_library(f"flite_cmu_us_{name}"), f"register_cmu_us_{name}")
            register.restype, register.argtypes = c.c_void_p, (c.c_char_p,)
            voice = register(None)
            streaming = self._lib.new_audio_streaming_info()
            streaming.contents.asc = self._callback
            streaming.contents.min_buffsize = _PIECE
            features = c.cast(voice, c.POINTER(_Voice)).contents.features
            self._lib.feat_set(features, b"streaming_info", self._lib.audio_streaming_info_val(streaming))
            self._voices[name] = voice
        return self._voices[name]

    def _take(
        self, wave: "c._Pointer[_Wave]", start: int, size: int, _last: int, _streaming: int | None
    ) -> int:
        """Take a piece (called by the library). What goes wrong is kept: nothing may be raised through C."""
        try:
            if size <= 0:
                return _GO_ON
            samples = c.addressof(wave.contents.samples.contents) + start * 2
            wanted = self._on_audio(c.string_at(samples, size * 2), wave.contents.sample_rate)
        except BaseException as error:  # noqa: BLE001
            self._failure = error
            return _STOP
        return _GO_ON if wanted else _STOP

    def _words(self, spoken: int) -> Iterator[tuple[str, int]]:
        """Yield the words as they were written, and where they begin."""
        relation = self._lib.utt_relation(spoken, b"Token")
        item = self._lib.relation_head(relation) if relation else None
        while item:
            name = self._lib.item_feat_string(item, b"name")
            begins_s = self._lib.ffeature_float(item, _WORD_BEGINS)
            yield name.decode("ascii", "replace"), round(begins_s * 1000)
            item = self._lib.item_next(item)


@functools.cache
def engine() -> Flite:
    """Return the one engine of this process: its voices keep the address of its callback for ever."""
    return Flite()


def installed() -> bool:
    """Return whether the host has the library."""
    try:
        _library("flite")
    except SpeechUnavailableError:
        return False
    return True


def _declare(lib: c.CDLL) -> None:
    """Give the functions their types: pointers do not fit into ctypes' default int."""
    pointer, text = c.c_void_p, c.c_char_p
    for name, result, arguments in (
        ("flite_init", c.c_int, ()),
        ("new_audio_streaming_info", c.POINTER(_Streaming), ()),
        ("audio_streaming_info_val", pointer, (c.POINTER(_Streaming),)),
        ("feat_set", None, (pointer, text, pointer)),
        ("feat_set_float", None, (pointer, text, c.c_float)),
        ("flite_synth_text", pointer, (text, pointer)),
        ("delete_utterance", None, (pointer,)),
        ("utt_relation", pointer, (pointer, text)),
        ("relation_head", pointer, (pointer,)),
        ("item_next", pointer, (pointer,)),
        ("item_feat_string", text, (pointer, text)),
        ("ffeature_float", c.c_float, (pointer, text)),
    ):
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
