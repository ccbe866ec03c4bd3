"""Defaults of the protocols over sockets: what most vendors have in common."""

from collections.abc import Sequence

from softswitch.speech.hosted.wire import AsrEvent, Message


class AsrDefaults:
    """A recogniser that takes binary PCM at once, in real time, and answers each `finalize`."""

    rate = 16000
    piece_ms = 40
    realtime = True
    awaits_ready = False
    answers_finalize = True
    tail_ms = 0
    one_shot = False
    keep_alive_s = 0.0

    def hello(self) -> Sequence[Message]:
        """Return nothing: the address says all."""
        return ()

    def audio(self, pcm: bytes) -> Sequence[Message]:
        """Return the audio as it is."""
        return (pcm,)

    def finalize(self) -> Sequence[Message]:
        """Return nothing."""
        return ()

    def keep_alive(self) -> Sequence[Message]:
        """Return a piece of silence."""
        return (bytes(2 * self.rate * self.piece_ms // 1000),)

    def bye(self) -> Sequence[Message]:
        """Return nothing: closing is enough."""
        return ()

    def closed(self, *, clean: bool) -> Sequence[AsrEvent]:
        """Return nothing: results come before the end."""
        del clean
        return ()


class TtsDefaults:
    """A synthesiser that takes one text after another over one connection."""

    rate = 24000
    awaits_ready = False
    reusable = True

    def hello(self) -> Sequence[Message]:
        """Return nothing: the address says all."""
        return ()

    def cancel(self) -> Sequence[Message]:
        """Return nothing: closing is enough."""
        return ()

    def renew(self) -> Sequence[Message]:
        """Return nothing: the next text may follow."""
        return ()
