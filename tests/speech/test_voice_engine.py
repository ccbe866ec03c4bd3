import asyncio
import contextlib
import threading

import pytest

from softswitch.speech import voice_engine
from softswitch.speech.interface import SpeechBusyError, SpeechUnavailableError
from softswitch.speech.voice_engine import Utterance, VoiceThread, ignore

LOUD = b"\0\x10" * 80


class Engine:
    """Makes pieces until told to stop; complains when two threads are inside."""

    def __init__(self, pieces=5):
        self.pieces = pieces
        self.made = 0
        self.threads: set[int] = set()
        self.inside = threading.Lock()
        self.go_on = threading.Event()
        self.go_on.set()
        self.started = threading.Event()

    def speak(self, utterance, on_audio):
        self.threads.add(threading.get_ident())
        self.started.set()
        assert self.inside.acquire(blocking=False)
        try:
            for _ in range(self.pieces):
                self.go_on.wait(10)
                self.made += 1
                if not on_audio(LOUD, 8000):
                    return []
            return [("word", 5)]
        finally:
            self.inside.release()


@pytest.fixture
def engine():
    return Engine()


@pytest.fixture
def thread(engine):
    thread = VoiceThread("test", lambda: engine)
    yield thread
    engine.go_on.set()
    thread.close()


async def collect(thread, text="x"):
    async with asyncio.timeout(20):
        return [piece async for piece in thread.speak(Utterance(text, "v"))]


async def test_pieces_come_in_order_and_words_last(thread):
    pieces = await collect(thread)
    assert [piece.pcm for piece in pieces] == [LOUD] * 5 + [b""]
    assert pieces[-1].words == (("word", 5),)


async def test_many_streams_use_one_thread_one_after_another(thread, engine):
    results = await asyncio.gather(*(collect(thread, str(number)) for number in range(20)))
    assert all(len(pieces) == 6 for pieces in results)
    assert len(engine.threads) == 1
    assert threading.get_ident() not in engine.threads


async def test_closing_the_generator_stops_the_engine(thread, engine):
    engine.pieces = 10_000
    async with contextlib.aclosing(thread.speak(Utterance("x", "v"))) as speech:
        await anext(speech)
        engine.go_on.clear()
    made = engine.made
    engine.go_on.set()
    await collect_short(thread, engine)
    assert made < 10_000


async def collect_short(thread, engine):
    engine.pieces = 1
    assert len(await collect(thread)) == 2


async def test_what_waits_and_is_cancelled_is_never_begun(thread, engine):
    engine.go_on.clear()
    first = asyncio.ensure_future(collect(thread))
    await asyncio.get_running_loop().run_in_executor(None, engine.started.wait, 10)
    second = asyncio.ensure_future(collect(thread))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    second.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await second
    engine.go_on.set()
    await first
    assert engine.made == 5


async def test_too_many_waiting_sentences_are_refused(thread, engine, monkeypatch):
    monkeypatch.setattr(voice_engine, "MAX_WAITING", 1)
    engine.go_on.clear()
    first = asyncio.ensure_future(collect(thread))
    await asyncio.get_running_loop().run_in_executor(None, engine.started.wait, 10)
    with pytest.raises(SpeechBusyError, match="busy"):
        await collect(thread)
    engine.go_on.set()
    await first
    assert len(await collect(thread)) == 6


async def test_failure_of_the_engine_reaches_the_reader():
    def load():
        raise SpeechUnavailableError("no library")

    thread = VoiceThread("test", load)
    with pytest.raises(SpeechUnavailableError, match="no library"):
        await thread.load()
    with pytest.raises(SpeechUnavailableError, match="no library"):
        await collect(thread)
    thread.close()


def test_ignore_wants_no_audio():
    assert not ignore(b"", 8000)
