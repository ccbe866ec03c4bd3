"""A SIP peer on a UDP socket that sends exact texts, also such as no real phone would."""

import asyncio
import re
from typing import Self

SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio {port} RTP/AVP 8 0 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n"
    "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n{more}"
)


class Message:
    """One message as it came."""

    def __init__(self, text: str) -> None:
        """Cut it."""
        head, _, self.body = text.partition("\r\n\r\n")
        self.first, *lines = head.split("\r\n")
        self.lines = lines
        self.text = text

    def __getitem__(self, name: str) -> str:
        """Return the first header of a name."""
        return self.all(name)[0]

    def all(self, name: str) -> list[str]:
        """Return all headers of a name."""
        prefix = name.lower() + ":"
        return [line.partition(":")[2].strip() for line in self.lines if line.lower().startswith(prefix)]

    @property
    def code(self) -> int:
        """Return the code of a response."""
        return int(self.first.split()[1])

    @property
    def tag(self) -> str:
        """Return the tag of the To."""
        found = re.search(r";tag=([^;>\s]+)", self["To"])
        return found[1] if found else ""


class Peer(asyncio.DatagramProtocol):
    """A UDP socket on loopback."""

    def __init__(self, to: int = 0, host: str = "127.0.0.1") -> None:
        """Speak to a port."""
        self.to = to
        self.polite = True
        """Whether a BYE is answered by itself."""
        self._host = host
        self._queue: asyncio.Queue[Message] = asyncio.Queue()
        self._transport: asyncio.DatagramTransport | None = None
        self.number = 0

    async def __aenter__(self) -> Self:
        """Bind."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(self._host, 0))
        self._transport = transport
        self.port: int = transport.get_extra_info("sockname")[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        assert self._transport is not None
        self._transport.close()
        await asyncio.sleep(0)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Keep what comes, but keep-alives."""
        if data.strip():
            message = Message(data.decode("utf-8", "replace"))
            self._queue.put_nowait(message)
            if self.polite and message.first.startswith("BYE"):
                self.reply(message, 200)

    def send(self, text: str | bytes) -> None:
        """Send a message as it is."""
        assert self._transport is not None
        self._transport.sendto(text if isinstance(text, bytes) else text.encode(), ("127.0.0.1", self.to))

    async def next(self, seconds: float = 60.0) -> Message:
        """Return the next message."""
        async with asyncio.timeout(seconds):
            return await self._queue.get()

    async def until(self, start: str, seconds: float = 60.0) -> Message:
        """Return the next message that begins so; others are passed over."""
        async with asyncio.timeout(seconds):
            while not (message := await self._queue.get()).first.startswith(start):
                pass
            return message

    async def silent(self, seconds: float = 0.3) -> bool:
        """Tell whether nothing comes for some time."""
        try:
            async with asyncio.timeout(seconds):
                await self._queue.get()
        except TimeoutError:
            return True
        return False

    def request(
        self,
        method: str,
        *,
        call: str = "call-1",
        sequence: int = 1,
        branch: str = "",
        tag: str = "far",
        to_tag: str = "",
        headers: str = "",
        body: str = "",
        user: str = "echo",
    ) -> str:
        """Send a request; return its branch."""
        self.number += 1
        branch = branch or f"z9hG4bKpeer{self.number}"
        to = f"<sip:{user}@127.0.0.1:{self.to}>" + (f";tag={to_tag}" if to_tag else "")
        kind = "Content-Type: application/sdp\r\n" if body and "Content-Type" not in headers else ""
        self.send(
            f"{method} sip:{user}@127.0.0.1:{self.to} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.port};branch={branch};rport\r\n"
            f'Max-Forwards: 70\r\nFrom: "Far" <sip:far@127.0.0.1:{self.port}>;tag={tag}\r\nTo: {to}\r\n'
            f"Call-ID: {call}\r\nCSeq: {sequence} {method}\r\n"
            f"Contact: <sip:far@127.0.0.1:{self.port}>\r\n{headers}{kind}"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )
        return branch

    def invite(self, *, more: str = "", port: int = 40000, **words: str | int) -> str:
        """Send an INVITE with an offer."""
        return self.request("INVITE", body=SDP.format(port=port, more=more), **words)  # type: ignore[arg-type]

    def ack(self, response: Message, branch: str = "", **words: str | int) -> None:
        """Acknowledge a final response."""
        self.request("ACK", to_tag=response.tag, branch=branch, **words)  # type: ignore[arg-type]

    def reply(
        self, request: Message, code: int, reason: str = "-", headers: str = "", body: str = ""
    ) -> None:
        """Answer a request."""
        vias = "".join(f"Via: {via}\r\n" for via in request.all("Via"))
        to = request["To"] if ";tag=" in request["To"] or code == 100 else request["To"] + ";tag=far"
        kind = "Content-Type: application/sdp\r\n" if body else ""
        self.send(
            f"SIP/2.0 {code} {reason}\r\n{vias}From: {request['From']}\r\nTo: {to}\r\n"
            f"Call-ID: {request['Call-ID']}\r\nCSeq: {request['CSeq']}\r\n{headers}{kind}"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )

    def contact(self) -> str:
        """Return a Contact header of this peer."""
        return f"Contact: <sip:there@127.0.0.1:{self.port}>\r\n"
