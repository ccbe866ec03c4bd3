import asyncio
import io
import random
import threading
import wave
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from multidict import CIMultiDict, CIMultiDictProxy
from numpy.typing import NDArray
from yarl import URL

from softswitch.egress.errors import EgressRefused
from softswitch.egress.http import Door, Fetched
from softswitch.endpoints import audio_source
from softswitch.endpoints.audio_format import UnknownFormatError, sniff
from softswitch.endpoints.audio_source import AudioFile, AudioSourceError, Decoder, fetch_audio
from softswitch.endpoints.audio_source import decode as decode_pieces
from softswitch.errors import PeerError
from tests.endpoints.audio_files import KINDS, make

DEMUXERS = {kind: {"ipod": "mov"}.get(container, container) for kind, (container, _, _) in KINDS.items()}
NAMES = {"ulaw": "hello.ulaw", "alaw": "hello.alaw"}


def decode(data: bytes, demuxer: str, rate: int = 24000, offset_ms: int = 0) -> NDArray[np.int16]:
    decoder = Decoder(data, demuxer, rate, offset_ms)
    try:
        pieces = []
        while piece := decoder.read():
            assert len(piece) <= rate * 2
            pieces.append(piece)
    finally:
        decoder.close()
    return np.frombuffer(b"".join(pieces), np.int16)


def pitch(pcm: NDArray[np.int16], rate: int) -> float:
    spectrum = np.abs(np.fft.rfft(pcm.astype(np.float64) * np.hanning(len(pcm))))
    return float(np.argmax(spectrum) * rate / len(pcm))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rate", [8000, 24000])
def test_decoder_plays_every_kind_at_its_pitch(kind: str, rate: int) -> None:
    data = make(kind)
    assert sniff(data, NAMES.get(kind, "x")) == DEMUXERS[kind]
    pcm = decode(data, DEMUXERS[kind], rate)
    assert len(pcm) / rate == pytest.approx(2.5, abs=0.1)
    assert pitch(pcm[rate // 2 : rate * 2], rate) == pytest.approx(440, abs=3)
    assert np.abs(pcm[rate // 2 : rate * 2]).max() == pytest.approx(8000, rel=0.15)


@pytest.mark.parametrize("kind", KINDS)
def test_decoder_begins_where_it_is_asked_to(kind: str) -> None:
    pcm = decode(make(kind), DEMUXERS[kind], 16000, offset_ms=1500)
    assert len(pcm) / 16000 == pytest.approx(1.0, abs=0.1)
    assert len(decode(make(kind), DEMUXERS[kind], 16000, offset_ms=99000)) < 1600


def test_decoder_is_exact_where_nothing_has_to_be_resampled() -> None:
    data = make("wav")
    with wave.open(io.BytesIO(data)) as reader:
        expected = reader.readframes(reader.getnframes())
    assert decode(data, "wav", 16000).tobytes() == expected


def test_decoder_mixes_stereo_to_mono() -> None:
    out = io.BytesIO()
    with wave.open(out, "wb") as writer:
        writer.setnchannels(2)
        writer.setsampwidth(2)
        writer.setframerate(16000)
        writer.writeframes(np.tile(np.array([4000, 2000], np.int16), 16000).tobytes())
    assert decode(out.getvalue(), "wav", 16000)[100:-100].mean() == pytest.approx(3000, rel=0.01)


def test_decoder_refuses_rates_beyond_its_range() -> None:
    for rate in (7999, 96000):
        with pytest.raises(ValueError, match="rate"):
            Decoder(make("wav"), "wav", rate)


@pytest.mark.parametrize("demuxer", sorted(set(DEMUXERS.values())))
def test_decoder_names_its_fault_on_rubbish(demuxer: str) -> None:
    chance = random.Random(1)
    for size in (0, 1, 44, 5000):
        try:
            decode(chance.randbytes(size), demuxer)
        except PeerError as error:
            assert error.field == "url"  # noqa: PT017


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_played_as_far_as_they_go_or_refused(kind: str) -> None:
    chance = random.Random(7)
    data = make(kind)
    for _ in range(30):
        broken = bytearray(data[: chance.randrange(1, len(data))])
        for _ in range(chance.randrange(20)):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        try:
            assert len(decode(bytes(broken), DEMUXERS[kind])) < 24000 * 100
        except PeerError as error:
            assert error.field == "url"  # noqa: PT017


def test_a_file_longer_than_the_bound_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio_source, "MAX_SECONDS", 2.0)
    with pytest.raises(AudioSourceError, match="longer"):
        decode(make("flac"), "flac")


def test_a_file_without_audio_is_refused() -> None:
    # A QuickTime file whose only atom is its type.
    with pytest.raises(AudioSourceError):
        decode(b"\x00\x00\x00\x14ftypM4A \x00\x00\x00\x00M4A ", "mov")


def test_no_file_can_make_us_read_another(tmp_path: Path) -> None:
    secret = tmp_path / "secret.wav"
    secret.write_bytes(make("wav"))
    lists = [
        f"ffconcat version 1.0\nfile '{secret}'\n",
        f"#EXTM3U\n#EXTINF:2,\n{secret}\n",
        f"concat:{secret}",
        f"file:{secret}",
    ]
    for text in lists:
        with pytest.raises(UnknownFormatError):
            sniff(text.encode())
        for demuxer in sorted(set(DEMUXERS.values()) - {"mulaw", "alaw"}):
            try:
                assert len(decode(text.encode(), demuxer)) < 2400
            except AudioSourceError:
                continue


# --- sniffing ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "name", "content_type", "demuxer"),
    [
        (b"\xff\xfb\x90\x00rest", "", "", "mp3"),
        (b"\xff\xff\xff\xff", "x.ulaw", "", "mulaw"),
        (b"\xff\xfb\x90\x00", "https://a.example/x.ul?token=1.mp3", "", "mulaw"),
        (b"abcd", "x", "audio/basic; rate=8000", "mulaw"),
        (b"abcd", "x", "audio/PCMA", "alaw"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "x.ulaw", "audio/basic", "wav"),
    ],
)
def test_sniff_trusts_the_content_before_the_name(
    data: bytes, name: str, content_type: str, demuxer: str
) -> None:
    assert sniff(data, name, content_type) == demuxer


@pytest.mark.parametrize(
    "data",
    [b"", b"RI", b"RIFF\x00\x00\x00\x00AVI ", b"<html></html>", b"\xff\xff\xff\xff", b"\x1aE\xdf\xa3webm"],
)
def test_sniff_refuses_everything_else(data: bytes) -> None:
    with pytest.raises(UnknownFormatError) as caught:
        sniff(data, "x.mp3", "audio/mpeg")
    assert caught.value.code == 415


# --- fetching -----------------------------------------------------------------------------


class FakeDoor:
    def __init__(self, body: bytes, status: int = 200, content_type: str = "audio/wav") -> None:
        headers = CIMultiDictProxy(CIMultiDict({"Content-Type": content_type}))
        self.fetched = Fetched(status, headers, body, URL("https://a.example/greeting.wav"))

    async def fetch(self, url: str) -> Fetched:
        return self.fetched


async def test_fetch_gives_a_file_that_can_be_played_again() -> None:
    file = await fetch_audio(FakeDoor(make("wav")), "https://a.example/greeting.wav")
    for _ in range(2):
        pieces = [piece async for piece in file.pieces(8000)]
        assert [len(piece) for piece in pieces] == [16000, 16000, 8000]


async def test_fetch_refuses_what_is_no_success() -> None:
    with pytest.raises(AudioSourceError, match="404"):
        await fetch_audio(FakeDoor(b"not here", 404), "https://a.example/x")


async def test_fetch_through_the_real_door_opens_no_file() -> None:
    for url in ("file:///etc/passwd", "concat:/etc/passwd", "/etc/passwd", "http://127.0.0.1:1/x.wav"):
        with pytest.raises(EgressRefused):
            await fetch_audio(Door(), url)


async def test_pieces_are_decoded_elsewhere_and_only_when_asked_for() -> None:
    threads: set[str] = set()
    read = Decoder.read

    def watched(self: Decoder) -> bytes:
        threads.add(threading.current_thread().name)
        return read(self)

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(1, "decode") as executor:
        patch.setattr(Decoder, "read", watched)
        pieces = AudioFile(make("flac", 5.0), "flac").pieces(16000, executor=executor)
        assert len(await anext(pieces)) == 32000
        await pieces.aclose()
    assert threads
    assert all(name.startswith("decode") for name in threads)


async def test_cancelling_in_the_middle_of_a_piece_is_safe() -> None:
    file = AudioFile(make("flac", 30.0), "flac")

    async def play() -> None:
        async for _ in file.pieces(48000):
            pass

    for turns in range(12):
        task = asyncio.create_task(play())
        for _ in range(turns):
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.wait([task])


async def test_pieces_report_a_file_that_cannot_be_read() -> None:
    with pytest.raises(AudioSourceError, match="cannot be"):
        async for _ in AudioFile(b"RIFF\x00\x00\x00\x00WAVEnothing", "wav").pieces(8000):
            pass


async def test_decode_plays_bytes_alone_and_headerless_ones_by_their_name() -> None:
    assert sum([len(piece) async for piece in decode_pieces(make("wav"), 8000, 500)]) == 32000
    assert (
        sum([len(piece) async for piece in decode_pieces(make("ulaw"), 8000, 0, "http://x/a.ulaw")]) == 40000
    )
    with pytest.raises(UnknownFormatError):
        decode_pieces(make("ulaw"), 8000, 0)
