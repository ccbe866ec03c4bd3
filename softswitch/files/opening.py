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
    """Decode a file in memory; see :func:`softswitch.files.decode.decode`, which has the same arguments.

    Raises:
        UnknownFormatError: At once, if it is not in a supported audio format.
        AudioSourceError: From the iterator, if it cannot be decoded.
    """
    sniff(data, name, content_type)

    async def pieces() -> AsyncGenerator[bytes, None]:
        # PyAV takes 16 MB and a third of a second: in a thread, so that signalling goes on.
        decoder = await asyncio.get_running_loop().run_in_executor(executor, _decoder)
        made = decoder.decode(data, rate, offset_ms, name, content_type, executor=executor)
        async with aclosing(made) as decoded:
            async for piece in decoded:
                yield piece

    return pieces()


def _decoder() -> ModuleType:
    if _DECODER not in sys.modules:
        open_ahead("av")
    return importlib.import_module(_DECODER)
