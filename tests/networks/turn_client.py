"""A TURN client in a few lines (RFC 8656): it tells the code of every refusal."""

import hashlib
import hmac
import secrets
import socket
import ssl
import struct
from ipaddress import ip_address

COOKIE = 0x2112A442
BINDING, ALLOCATE, REFRESH, SEND, DATA, PERMIT = 0x001, 0x003, 0x004, 0x016, 0x017, 0x008
USERNAME, INTEGRITY, ERROR, PEER, PAYLOAD = 0x0006, 0x0008, 0x0009, 0x0012, 0x0013
REALM, NONCE, RELAYED, FAMILY, TRANSPORT, LIFETIME = 0x0014, 0x0015, 0x0016, 0x0017, 0x0019, 0x000D
Address = tuple[str, int]


class TurnError(Exception):
    """A request was refused."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


_PARKED: list[socket.socket] = []
"""Sockets of closed clients. The server keeps the allocation of a UDP port for minutes, and refuses another
client that the system gives this port (437)."""


class TurnClient:
    """One allocation, over UDP, TCP or TLS; blocking, with a bound on every wait."""

    def __init__(
        self, transport: str, server: Address, local: str, username: str, password: str, tls: ssl.SSLContext
    ) -> None:
        family = socket.AF_INET6 if ":" in local else socket.AF_INET
        kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
        self._stream = transport != "udp"
        self._socket = socket.socket(family, kind)
        self._socket.settimeout(3.0)
        self._socket.bind((local, 0))
        self._socket.connect(server)
        if transport == "tls":
            self._socket = tls.wrap_socket(self._socket, server_hostname=server[0])
        self._username, self._password = username, password
        self._realm = self._nonce = b""
        self._data: list[tuple[Address, bytes]] = []

    def close(self) -> None:
        if self._stream:
            self._socket.close()
        else:
            _PARKED.append(self._socket)

    def allocate(self, *, six: bool = False) -> Address:
        """Return the relayed address; raises TurnError."""
        wanted = [(TRANSPORT, bytes([17, 0, 0, 0]))]
        if six:
            wanted.append((FAMILY, bytes([2, 0, 0, 0])))
        answer = self._request(ALLOCATE, wanted)
        return read_address(answer[1][RELAYED], answer[0])

    def permit(self, peer: str) -> int:
        """Ask to exchange data with a peer; return 0, or the code of the refusal."""
        transaction = secrets.token_bytes(12)
        try:
            self._request(PERMIT, [(PEER, write_address((peer, 9), transaction))], transaction)
        except TurnError as error:
            return error.code
        return 0

    def send(self, peer: Address, data: bytes) -> None:
        transaction = secrets.token_bytes(12)
        attributes = [(PEER, write_address(peer, transaction)), (PAYLOAD, data)]
        self._write(build(SEND | 0x010, transaction, attributes))

    def receive(self) -> tuple[Address, bytes]:
        """Return the next datagram of a peer."""
        while not self._data:
            self._read()
        return self._data.pop(0)

    def _request(
        self, method: int, attributes: list[tuple[int, bytes]], transaction: bytes | None = None
    ) -> tuple[bytes, dict[int, bytes]]:
        for attempt in range(3):
            number = transaction or secrets.token_bytes(12)
            signed = list(attributes)
            key = b""
            if self._realm:
                signed += [(USERNAME, self._username.encode()), (REALM, self._realm), (NONCE, self._nonce)]
                text = f"{self._username}:{self._realm.decode()}:{self._password}"
                key = hashlib.md5(text.encode(), usedforsecurity=False).digest()
            kind, told = self._ask(build(method, number, signed, key), number)
            if kind & 0x0110 == 0x0100:
                return number, told
            code = told[ERROR][2] * 100 + told[ERROR][3]
            if attempt == 2 or code not in (401, 438) or (code == 401 and self._realm):
                raise TurnError(code)
            self._realm, self._nonce = told[REALM], told[NONCE]
        raise AssertionError("not reached")

    def _ask(self, message: bytes, transaction: bytes) -> tuple[int, dict[int, bytes]]:
        for _ in range(3):
            self._write(message)
            try:
                while True:
                    kind, number, told = self._read()
                    if number == transaction:
                        return kind, told
            except TimeoutError:
                if self._stream:
                    raise
        raise TimeoutError("the TURN server does not answer")

    def _write(self, message: bytes) -> None:
        self._socket.sendall(message)

    def _read(self) -> tuple[int, bytes, dict[int, bytes]]:
        if self._stream:
            head = self._exactly(20)
            message = head + self._exactly(int.from_bytes(head[2:4], "big"))
        else:
            message = self._socket.recv(4096)
        kind, number, told = parse(message)
        if kind == DATA | 0x010:
            self._data.append((read_address(told[PEER], number), told[PAYLOAD]))
        return kind, number, told

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += (more := self._socket.recv(size - len(data)))
            if not more:
                raise ConnectionError("the TURN server closed the connection")
        return data


def build(kind: int, transaction: bytes, attributes: list[tuple[int, bytes]], key: bytes = b"") -> bytes:
    """Return a message, signed where there is a key (RFC 8489 section 14.5)."""
    body = b""
    for name, value in attributes:
        body += struct.pack("!HH", name, len(value)) + value + bytes(-len(value) % 4)
    head = struct.pack("!HHI", kind, len(body) + (24 if key else 0), COOKIE) + transaction
    if not key:
        return head + body
    digest = hmac.new(key, head + body, hashlib.sha1).digest()
    return head + body + struct.pack("!HH", INTEGRITY, 20) + digest


def parse(message: bytes) -> tuple[int, bytes, dict[int, bytes]]:
    """Return type, transaction and attributes of a message."""
    kind, size = struct.unpack("!HH", message[:4])
    told: dict[int, bytes] = {}
    place = 20
    while place < 20 + size:
        name, length = struct.unpack("!HH", message[place : place + 4])
        told.setdefault(name, message[place + 4 : place + 4 + length])
        place += 4 + length + -length % 4
    return kind, message[8:20], told


def write_address(address: Address, transaction: bytes) -> bytes:
    """Return an address as XOR-PEER-ADDRESS has it (RFC 8489 section 14.2)."""
    host = ip_address(address[0])
    mask = struct.pack("!I", COOKIE) + transaction
    packed = bytes(one ^ other for one, other in zip(host.packed, mask, strict=False))
    return struct.pack("!BBH", 0, 1 if host.version == 4 else 2, address[1] ^ COOKIE >> 16) + packed


def read_address(value: bytes, transaction: bytes) -> Address:
    """Return what `write_address` wrote."""
    mask = struct.pack("!I", COOKIE) + transaction
    packed = bytes(one ^ other for one, other in zip(value[4:], mask, strict=False))
    return str(ip_address(packed)), int.from_bytes(value[2:4], "big") ^ COOKIE >> 16
