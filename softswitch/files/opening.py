"""Audio files of playbacks: their format is told at once, the decoder is imported for the first of them."""

import asyncio
import importlib
import sys
from collections.abc import AsyncGenerator
from concurrent.futures import Executor
from contextlib import aclosing
from types import ModuleType

from softswitch.files.sniff import sniff
from softswitch.libraries import open_ahead

_DECODER = "softswitch.files.decode"


def open_audio(
    data: bytes,
    rate: int,
    offset_ms: int = 0,
    name: str = "",
    content_type: str = "",
    *,
    executor: Executor | None = None,
) -> AsyncGenerator[bytes, None]:
    """Decode a file in memory; see :meth:`softswitch.files.decode.AudioFile.pieces`.

    Args:
        data: the whole file.
        rate: Hz, 8000-48000.
        offset_ms: position to begin at, in milliseconds.
        name: file name or URL; headerless formats (µ-law, A-law) are recognized by it or by the content type.
        content_type: Content-Type of the response.
        executor: executor to decode in; None means that of the loop.

    Raises:
        UnknownFormatError: At once, if it is not in a supported audio format.
        AudioSourceError: From the iterator, if it cannot be decoded.
    """
    found = sniff(data, name, content_type)

    async def pieces() -> AsyncGenerator[bytes, None]:
        # PyAV takes 16 MB and a third of a second: in a thread, so that signalling goes on.
        decoder = await asyncio.get_running_loop().run_in_executor(executor, _decoder)
        made = decoder.AudioFile(data, found).pieces(rate, offset_ms=offset_ms, executor=executor)
        async with aclosing(made) as decoded:
            async for piece in decoded:
                yield piece

    return pieces()


def _decoder() -> ModuleType:
    if _DECODER not in sys.modules:
        open_ahead("av")
    return importlib.import_module(_DECODER)
