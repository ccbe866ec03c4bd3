"""A small TURN server in the test's own loop, whose answers come late and which counts its allocations."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from aioice import stun
from aioice.turn import make_integrity_key

from softswitch.settings.sections import Ice, IceServer

REALM, USER, PASSWORD = "test", "user", "secret"


class FakeTurn(asyncio.DatagramProtocol):
    """Allocates relays that carry nothing; requests are answered after `delay_s`."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self.held: set[tuple[str, int]] = set()
        """Clients whose allocation was granted and not given back."""
        self.granted = self.requests = 0
        self.changed = asyncio.Event()
        self.port = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.requests += 1
        self.changed.set()
        asyncio.get_running_loop().call_later(self._delay_s, self._answer, data, addr)

    async def settled(self, granted: int) -> None:
        """Wait until so many allocations were granted and all were given back."""
        async with asyncio.timeout(60):
            while self.granted < granted or self.held:
                self.changed.clear()
                await self.changed.wait()

    def _answer(self, data: bytes, addr: tuple[str, int]) -> None:
        request = stun.parse_message(data)
        key = make_integrity_key(USER, REALM, PASSWORD)
        answer = stun.Message(
            message_method=request.message_method,
            message_class=stun.Class.RESPONSE,
            transaction_id=request.transaction_id,
        )
        if request.attributes.get("USERNAME") != USER or not request.check_message_integrity(key):
            answer.message_class = stun.Class.ERROR
            answer.attributes["ERROR-CODE"] = (401, "Unauthorized")
            answer.attributes["REALM"], answer.attributes["NONCE"] = REALM, b"nonce"
            self._transport.sendto(bytes(answer), addr)
            return
        if request.message_method == stun.Method.ALLOCATE:
            self.granted += addr not in self.held
            self.held.add(addr)
            answer.attributes["XOR-RELAYED-ADDRESS"] = ("192.0.2.9", addr[1])
            answer.attributes["XOR-MAPPED-ADDRESS"] = addr
            answer.attributes["LIFETIME"] = 600
        elif request.message_method == stun.Method.REFRESH and request.attributes["LIFETIME"] == 0:
            self.held.discard(addr)
            answer.attributes["LIFETIME"] = 0
        self.changed.set()
        answer.add_message_integrity(key)
        self._transport.sendto(bytes(answer), addr)


@asynccontextmanager
async def turn_server(delay_s: float = 0.0) -> AsyncIterator[FakeTurn]:
    """Run a server whose answers take `delay_s` seconds."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(
        lambda: FakeTurn(delay_s), local_addr=("127.0.0.1", 0)
    )
    try:
        yield server
    finally:
        transport.close()


def settings_of(server: FakeTurn, password: str = PASSWORD, gather_s: float = 2.0) -> Ice:
    """Return the section [ice] of a switch that uses the server with its fixed credentials."""
    server_of = IceServer((f"turn:127.0.0.1:{server.port}",), USER, password)
    return Ice(host_addresses=("127.0.0.1",), gather_s=gather_s, server=(server_of,))
