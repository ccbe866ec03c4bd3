"""A SIP phone on one UDP socket of a namespace, whose Via and Contact say what the test wants."""

import asyncio
import hashlib
import re
import socket
import ssl
from typing import Any

from tests.networks.topology import Namespace

WAIT_S = 60.0


def bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


class RawPhone:
    """Sends requests as text, and answers nothing by itself."""

    def __init__(
        self, namespace: Namespace, host: str, switch: tuple[str, int], *, user: str = "100"
    ) -> None:
        self.transport = "UDP"
        self.udp, self.media = namespace.udp(host), namespace.udp(host)
        self.host, self.port, self.user = host, int(self.udp.getsockname()[1]), user
        self.switch = switch
        self.via_port, self.contact_port, self.rport = self.port, self.port, True
        self._branch = 0
        self.sent: dict[str, str] = {}

    def close(self) -> None:
        self.udp.close()
        self.media.close()

    def _parameter(self) -> str:
        return "" if self.transport == "UDP" else f";transport={self.transport.lower()}"

    # --- messages ---------------------------------------------------------------------

    def request(self, method: str, uri: str, body: str = "", **headers: str) -> str:
        """Send a request; return its text."""
        self._branch += 1
        place = bracketed(self.host)
        fields = {
            "Via": f"SIP/2.0/{self.transport} {place}:{self.via_port};branch=z9hG4bK{self.user}{self._branch}"
            + (";rport" if self.rport else ""),
            "Max-Forwards": "70",
            "From": f"<sip:{self.user}@{bracketed(self.switch[0])}>;tag=t{self.user}",
            "To": f"<{uri}>",
            "Call-ID": f"{method.lower()}-{self.user}",
            "CSeq": f"{self._branch} {method}",
            "Contact": f"<sip:{self.user}@{place}:{self.contact_port}{self._parameter()}>",
        }
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        if body:
            fields["Content-Type"] = "application/sdp"
        lines = [f"{method} {uri} SIP/2.0", *(f"{name}: {value}" for name, value in fields.items())]
        text = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", body])
        self.send(text)
        return text

    def send(self, text: str, to: tuple[str, int] | None = None) -> None:
        self.udp.sendto(text.encode(), to or self.switch)

    async def receive(self, start: str = "", seconds: float = WAIT_S) -> str:
        """Return the next message that begins with this; others are dropped."""
        while True:
            text = (await take(self.udp, seconds))[0].decode()
            if text.startswith(start) and text.strip():
                return text

    async def final(self) -> str:
        """Return the next final response."""
        while True:
            text = await self.receive("SIP/2.0 ")
            if text[8] != "1":
                return text

    def respond(self, request: str, code: int, body: str = "", to: tuple[str, int] | None = None) -> None:
        """Answer a request of the switch."""
        copied = re.findall(r"(?m)^(?:Via|From|Call-ID|CSeq|Record-Route): .*\r\n", request)
        target = re.search(r"(?m)^To: (.*)\r\n", request)
        assert target is not None
        lines = [
            f"SIP/2.0 {code} Whatever\r\n",
            *copied,
            f"To: {target[1]}{'' if ';tag=' in target[1] else f';tag=callee{self.user}'}\r\n",
            f"Contact: <sip:{self.user}@{bracketed(self.host)}:{self.contact_port}{self._parameter()}>\r\n",
            "Content-Type: application/sdp\r\n" if body else "",
            f"Content-Length: {len(body)}\r\n\r\n{body}",
        ]
        self.send("".join(lines), to)

    # --- dialogues ----------------------------------------------------------------------

    async def register(self, password: str, expires: int = 300) -> str:
        """Register with digest authentication; return the final response."""
        uri = f"sip:{bracketed(self.switch[0])}"
        address = f"<sip:{self.user}@{bracketed(self.switch[0])}>"
        self.request("REGISTER", uri, To=address, Expires=str(expires))
        challenged = await self.final()
        found = dict(re.findall(r'(realm|nonce)="([^"]*)"', challenged))
        ha1 = _md5(f"{self.user}:{found['realm']}:{password}")
        qop = 'qop="auth"' in challenged or "qop=auth" in challenged
        middle = f"{found['nonce']}:00000001:abc:auth" if qop else found["nonce"]
        digest = _md5(f"{ha1}:{middle}:{_md5(f'REGISTER:{uri}')}")
        proof = (
            f'Digest username="{self.user}", realm="{found["realm"]}", nonce="{found["nonce"]}", '
            f'uri="{uri}", response="{digest}", algorithm=MD5'
        ) + (', qop=auth, nc=00000001, cnonce="abc"' if qop else "")
        self.request("REGISTER", uri, To=address, Expires=str(expires), Authorization=proof)
        return await self.final()

    def sdp(self, host: str = "") -> str:
        """Return a description of PCMU at the phone's media socket."""
        place = host or self.host
        family = "IP6" if ":" in place else "IP4"
        port = self.media.getsockname()[1]
        return (
            f"v=0\r\no=- 1 1 IN {family} {place}\r\ns=-\r\nc=IN {family} {place}\r\nt=0 0\r\n"
            f"m=audio {port} RTP/AVP 0\r\n"
        )

    async def hears_echo(self, answer: str, seconds: float = WAIT_S) -> bool:
        """Send audio to where the answer says, and tell whether any comes back."""
        host = re.search(r"(?m)^c=IN IP[46] (\S+)", answer)
        port = re.search(r"(?m)^m=audio (\d+)", answer)
        assert host is not None
        assert port is not None
        place = host[1], int(port[1])

        async def talk() -> None:
            for number in range(int(seconds / 0.02)):
                header = bytes([0x80, 0]) + number.to_bytes(2, "big") + (160 * number).to_bytes(4, "big")
                self.media.sendto(header + b"\x00\x00\x00\x07" + bytes([0x10] * 160), place)
                await asyncio.sleep(0.02)

        talking = asyncio.ensure_future(talk())
        try:
            # Silence comes at once; the echo is loud.
            while True:
                packet, _ = await take(self.media, seconds)
                if packet[12:60].count(0x10) > 40:
                    return True
        except TimeoutError:
            return False
        finally:
            talking.cancel()


class StreamPhone(RawPhone):
    """The same over one TCP or TLS connection, which it opens."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def connect(self, namespace: Namespace, tls: ssl.SSLContext | None = None) -> None:
        """Open the connection from its namespace; it takes the place of one from before."""
        self.transport = "TLS" if tls is not None else "TCP"
        with namespace.entered():
            plain = socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET)
        plain.setblocking(False)
        plain.bind((self.host, 0))
        await asyncio.get_running_loop().sock_connect(plain, self.switch)
        self.port = self.via_port = self.contact_port = int(plain.getsockname()[1])
        name = "localhost" if tls is not None else None
        self.reader, self.writer = await asyncio.open_connection(sock=plain, ssl=tls, server_hostname=name)

    def close(self) -> None:
        self.writer.close()
        super().close()

    def send(self, text: str, to: tuple[str, int] | None = None) -> None:
        del to
        self.writer.write(text.encode())

    async def receive(self, start: str = "", seconds: float = WAIT_S) -> str:
        """Return the next message that begins with this; others are dropped."""
        async with asyncio.timeout(seconds):
            while True:
                head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
                length = re.search(r"(?mi)^Content-Length: *([0-9]+)", head)
                body = await self.reader.readexactly(int(length[1]) if length else 0)
                if (text := head.lstrip("\r\n") + body.decode()).startswith(start) and text.strip():
                    return text


async def take(udp: socket.socket, seconds: float) -> tuple[bytes, Any]:
    """Receive a datagram on any loop, without a thread that outlives the test."""
    udp.settimeout(0)
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(udp, readable.set)
    try:
        async with asyncio.timeout(seconds):
            while True:
                try:
                    return udp.recvfrom(65536)
                except BlockingIOError:
                    readable.clear()
                    await readable.wait()
    finally:
        loop.remove_reader(udp)


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()
