"""A WebSocket client that may break every rule of the protocol."""

import asyncio
import base64
import os
import struct
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9


class RawSocket:
    """One WebSocket, frame by frame (RFC 6455 section 5.2)."""

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)

    async def __aenter__(self) -> Self:
        """Shake hands."""
        self._reader, self._writer = await asyncio.open_connection(self._url.hostname, self._url.port)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = (
            f"GET {self._url.path}?{self._url.query} HTTP/1.1",
            f"Host: {self._url.netloc}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key}",
        )
        self._writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        head = await self._reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), head
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cut the connection."""
        self._writer.transport.abort()

    async def frame(
        self,
        payload: bytes,
        opcode: int = TEXT,
        *,
        final: bool = True,
        masked: bool = True,
        reserved: int = 0,
    ) -> None:
        """Send one frame."""
        head = bytes([(0x80 if final else 0) | reserved << 4 | opcode])
        bit = 0x80 if masked else 0
        if len(payload) < 126:
            head += bytes([bit | len(payload)])
        elif len(payload) < 65536:
            head += bytes([bit | 126]) + struct.pack("!H", len(payload))
        else:
            head += bytes([bit | 127]) + struct.pack("!Q", len(payload))
        # A mask of zeros is a mask, and leaves the payload readable in a packet dump.
        self._writer.write(head + (bytes(4) if masked else b"") + payload)
        await self._writer.drain()

    async def fragments(self, payload: bytes, size: int) -> None:
        """Send a text in pieces."""
        for place in range(0, len(payload), size):
            last = place + size >= len(payload)
            await self.frame(payload[place : place + size], TEXT if place == 0 else 0, final=last)

    async def read(self) -> tuple[int, bytes] | None:
        """Return opcode and payload of the next frame, or None at the end."""
        try:
            first, second = await self._reader.readexactly(2)
            length = second & 127
            if length == 126:
                length = struct.unpack("!H", await self._reader.readexactly(2))[0]
            elif length == 127:
                length = struct.unpack("!Q", await self._reader.readexactly(8))[0]
            return first & 15, await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def end(self, seconds: float = 15.0) -> tuple[list[bytes], int | None]:
        """Read to the end; return the texts, and the code of the close frame where there was one."""
        texts: list[bytes] = []
        code: int | None = None
        async with asyncio.timeout(seconds):
            while (frame := await self.read()) is not None:
                if frame[0] == TEXT:
                    texts.append(frame[1])
                elif frame[0] == CLOSE:
                    code = struct.unpack("!H", frame[1][:2])[0] if len(frame[1]) >= 2 else None
                    break
        return texts, code
