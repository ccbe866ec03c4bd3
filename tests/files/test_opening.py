import pytest

from softswitch.files.opening import open_audio
from softswitch.files.sniff import UnknownFormatError
from tests.files.audio_files import make


async def test_file_is_opened_and_decoded() -> None:
    pieces = [piece async for piece in open_audio(make("wav"), 8000)]
    assert pieces
    assert {len(piece) % 2 for piece in pieces} == {0}


def test_strange_bytes_are_refused_at_once() -> None:
    with pytest.raises(UnknownFormatError):
        open_audio(b"no audio at all", 8000)
