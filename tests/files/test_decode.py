import asyncio
import io
import random
import threading
import wave
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from multidict import CIMultiDict, CIMultiDictProxy
from numpy.typing import NDArray
from yarl import URL

from softswitch.egress.errors import EgressRefused
from softswitch.egress.http import EgressClient, Fetched
from softswitch.errors import PeerError
from softswitch.files import decode as audio_source
from softswitch.files import ogg_chain
from softswitch.files.decode import AudioFile, AudioSourceError, Decoder, fetch_audio
from softswitch.files.opening import open_audio
from softswitch.files.sniff import Found, UnknownFormatError, sniff
from tests.files.audio_files import KINDS, id3, make, odd_wav

OTHERWISE = {"ipod": "mov", "adts": "aac", "webm": "matroska"}
DEMUXERS = {kind: OTHERWISE.get(container, container) for kind, (container, _, _) in KINDS.items()}
NAMES = {"ulaw": "hello.ulaw", "alaw": "hello.alaw", "g722": "hello.g722"}


def decode(
    data: bytes, demuxer: str | Found = "", rate: int = 24000, offset_ms: int = 0
) -> NDArray[np.int16]:
    found = (Found(demuxer) if isinstance(demuxer, str) else demuxer) if demuxer else sniff(data)
    decoder = Decoder(data, found, rate, offset_ms)
    try:
        while decoder.skip():
            pass
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
    assert sniff(data, NAMES.get(kind, "x")).demuxer == DEMUXERS[kind]
    pcm = decode(data, DEMUXERS[kind], rate)
    # AAC without a container keeps the encoder's lead-in of 1024 samples and its padding.
    assert len(pcm) / rate == pytest.approx(2.5, abs=0.13)
    assert pitch(pcm[rate // 2 : rate * 2], rate) == pytest.approx(440, abs=3)
    assert np.abs(pcm[rate // 2 : rate * 2]).max() == pytest.approx(8000, rel=0.15)


@pytest.mark.parametrize("kind", KINDS)
def test_decoder_begins_where_it_is_asked_to(kind: str) -> None:
    pcm = decode(make(kind), DEMUXERS[kind], 16000, offset_ms=1500)
    assert len(pcm) / 16000 == pytest.approx(1.0, abs=0.13)
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
            Decoder(make("wav"), Found("wav"), rate)


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


# --- odd files ---------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [36, 45, 53])
def test_coding_without_a_decoder_is_named(bits: int) -> None:
    with pytest.raises(AudioSourceError, match="the audio codec of the file is not supported"):
        decode(odd_wav(bits=bits), "wav")


@pytest.mark.parametrize("rate", [1, 999, 2**31 - 1])
def test_sample_rate_that_no_audio_has_is_named(rate: int) -> None:
    with pytest.raises(AudioSourceError, match=rf"sample rate of {rate} Hz is not within 1000-768000 Hz"):
        decode(odd_wav(rate=rate), "wav")


@pytest.mark.parametrize("error", [AttributeError("x"), ZeroDivisionError(), MemoryError(), KeyError("x")])
def test_whatever_a_decoder_raises_is_an_error_of_its_file(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise error

    decoder = Decoder(make("wav"), Found("wav"), 8000)
    monkeypatch.setattr(decoder, "_decode_packet", fail)
    with pytest.raises(AudioSourceError, match=rf"cannot be decoded \({type(error).__name__}\)"):
        decoder.read()
    decoder.close()
    assert "unexpected error while decoding" in caplog.text


@pytest.mark.parametrize(
    "second",
    [{"layout": "stereo"}, {"rate": 22050}, {"rate": 24000, "layout": "stereo"}],
    ids=["stereo", "rate", "both"],
)
def test_mp3_that_changes_its_format_is_played_to_its_end(second: dict[str, Any]) -> None:
    pcm = decode(make("mp3", 2.0) + make("mp3", 2.0, **second))
    assert len(pcm) / 24000 == pytest.approx(4.0, abs=0.3)
    assert pitch(pcm[60000:90000], 24000) == pytest.approx(440, abs=3)


@pytest.mark.parametrize("offset_ms", [0, 500, 3000])
def test_chained_ogg_is_played_to_its_end(offset_ms: int) -> None:
    data = make("flac-ogg", 1.0, 16000) + make("opus", 1.0) + make("flac-ogg", 2.0, 44100, "stereo")
    pcm = decode(data, offset_ms=offset_ms)
    assert len(pcm) / 24000 == pytest.approx(4.0 - offset_ms / 1000, abs=0.1)
    assert pitch(pcm[-20000:-2000], 24000) == pytest.approx(440, abs=3)


def test_chain_of_very_many_links_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ogg_chain, "MAX_LINKS", 3)
    assert len(list(ogg_chain.links(make("opus", 0.1) * 10))) == 3


@pytest.mark.parametrize("kind", ["wav", "flac", "mp3", "aac", "aiff"])
@pytest.mark.parametrize("tag", [id3(), id3(1000, footer=True), id3() * 3, id3(0) + bytes(100)])
def test_tag_before_any_kind_is_skipped(kind: str, tag: bytes) -> None:
    data = tag + make(kind)
    assert sniff(data).demuxer == DEMUXERS[kind]
    assert len(decode(data)) / 24000 == pytest.approx(2.5, abs=0.13)


def test_zeros_before_an_mp3_are_skipped() -> None:
    data = bytes(4711) + make("mp3")[len(id3(45 - 10)) :]
    assert sniff(data) == ("mp3", 4711)
    assert len(decode(data)) / 24000 == pytest.approx(2.5, abs=0.2)


def test_gsm_without_a_header_is_known_by_its_name() -> None:
    # Frames of 33 octets that begin with the nibble 0xD hold 20 ms each (RFC 3551 section 4.5.8.1).
    data = (b"\xd0" + bytes(32)) * 50
    assert len(decode(data, sniff(data, "hello.gsm"))) / 24000 == pytest.approx(1.0, abs=0.01)


def test_tags_in_another_character_set_do_not_matter() -> None:
    data = make("m4a")
    assert b"Lavf" in data
    data = data.replace(b"Lavf", b"\xff\xfe\xfd\xfc")
    assert len(decode(data, "mov")) / 24000 == pytest.approx(2.5, abs=0.1)


def test_beginning_that_is_skipped_is_decoded_in_bounded_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio_source, "SKIP_S", 1.0)
    decoder = Decoder(make("opus", 2.0) * 4, Found("ogg"), 8000, offset_ms=7000)
    steps = 0
    while decoder.skip():
        steps += 1
    assert steps == pytest.approx(6, abs=1)
    assert len(decoder.read()) == pytest.approx(16000, rel=0.1)
    decoder.close()


def test_audio_that_is_only_skipped_counts_towards_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio_source, "MAX_SECONDS", 3.0)
    with pytest.raises(AudioSourceError, match="longer"):
        decode(make("opus", 1.0) * 5, offset_ms=4500)


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
        (b"\xff\xf1\x50\x80rest", "", "", "aac"),
        (b"#!AMR-WB\nrest", "", "", "amr"),
        (b"\x00\x00\x00\xff\xfb\x90\x00rest", "x.ulaw", "", "mulaw"),
        (b"ID3\x04\x00\x00\x00\x00\x00\x02__nothing that is known", "", "", "mp3"),
    ],
)
def test_sniff_trusts_the_content_before_the_name(
    data: bytes, name: str, content_type: str, demuxer: str
) -> None:
    assert sniff(data, name, content_type).demuxer == demuxer


@pytest.mark.parametrize(
    "data",
    [b"", b"RI", b"RIFF\x00\x00\x00\x00AVI ", b"<html></html>", b"\xff\xff\xff\xff", bytes(50)],
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
            await fetch_audio(EgressClient(), url)


async def test_pieces_are_decoded_elsewhere_and_only_when_asked_for() -> None:
    threads: set[str] = set()
    read = Decoder.read

    def watched(self: Decoder) -> bytes:
        threads.add(threading.current_thread().name)
        return read(self)

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(1, "decode") as executor:
        patch.setattr(Decoder, "read", watched)
        pieces = AudioFile(make("flac", 5.0), Found("flac")).pieces(16000, executor=executor)
        assert len(await anext(pieces)) == 32000
        await pieces.aclose()
    assert threads
    assert all(name.startswith("decode") for name in threads)


async def test_cancelling_in_the_middle_of_a_piece_is_safe() -> None:
    file = AudioFile(make("flac", 30.0), Found("flac"))

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
        async for _ in AudioFile(b"RIFF\x00\x00\x00\x00WAVEnothing", Found("wav")).pieces(8000):
            pass


async def test_decode_uses_the_threads_it_is_given_and_no_others() -> None:
    asked: list[str] = []

    class Files(ThreadPoolExecutor):
        def submit(self, *parts, **options):
            asked.append("files")
            return super().submit(*parts, **options)

    asyncio.get_running_loop().set_default_executor(Files(1))
    with ThreadPoolExecutor(1, "decode") as executor:
        pieces = [piece async for piece in open_audio(make("wav", 1.0), 16000, executor=executor)]
    assert sum(map(len, pieces)) == 32000
    assert asked == []


async def test_decode_plays_bytes_alone_and_headerless_ones_by_their_name() -> None:
    assert sum([len(piece) async for piece in open_audio(make("wav"), 8000, 500)]) == 32000
    assert sum([len(piece) async for piece in open_audio(make("ulaw"), 8000, 0, "http://x/a.ulaw")]) == 40000
    with pytest.raises(UnknownFormatError):
        open_audio(make("ulaw"), 8000, 0)
