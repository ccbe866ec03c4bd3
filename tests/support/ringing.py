"""A telephone that rings and is never answered: a few lines of SIP over UDP."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import cast

_KEPT = ("via:", "from:", "call-id:", "cseq:", "to:")


class Ringing(asyncio.DatagramProtocol):
    """Answers INVITE with 180 (or another code) and everything else with 200."""

    def __init__(self, code: str) -> None:
        """Take status code and reason of the answer to an INVITE."""
        self._code = code

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the socket."""
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer a request."""
        head = data.decode().partition("\r\n\r\n")[0].split("\r\n")
        method = head[0].split(" ", 1)[0]
        if method in ("ACK", "SIP/2.0"):
            return
        if method == "CANCEL":
            self._send("200 OK", head, addr)
            self._send("487 Request Terminated", [line.replace("CANCEL", "INVITE") for line in head], addr)
            return
        self._send(self._code if method == "INVITE" else "200 OK", head, addr)

    def _send(self, status: str, head: list[str], addr: tuple[str, int]) -> None:
        lines = [line for line in head[1:] if line.lower().startswith(_KEPT)]
        lines = [f"{line};tag=ringing" if line.lower().startswith("to:") else line for line in lines]
        answer = "\r\n".join([f"SIP/2.0 {status}", *lines, "Content-Length: 0", "", ""])
        cast("asyncio.DatagramTransport", self.transport).sendto(answer.encode(), addr)


@contextlib.asynccontextmanager
async def ringing(code: str = "180 Ringing") -> AsyncIterator[str]:
    """Give the URI of a telephone that answers a call with this code.

    Args:
        code: Status code and reason; a final one refuses the call.
    """
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: Ringing(code), local_addr=("127.0.0.1", 0))
    try:
        yield f"sip:phone@127.0.0.1:{transport.get_extra_info('sockname')[1]}"
    finally:
        transport.close()
