"""The contracts that `softswitch.legs.webrtc.aiortc_private` lists."""

import asyncio
import contextlib
import inspect
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any, cast

import pytest
import uvloop
from aioice import Candidate, Connection, stun
from aioice.ice import CandidatePair, StunProtocol, relayed_candidate
from aioice.turn import TurnTransport, create_turn_endpoint
from aiortc import RTCCertificate, RTCDtlsTransport
from aiortc.rtcdtlstransport import generate_certificate
from cryptography.hazmat.primitives.asymmetric import rsa

from softswitch.egress import Asker
from softswitch.legs.webrtc.aiortc_private import (
    DtlsAssociation,
    DtlsError,
    IceConnection,
    IceOptions,
    certificate_fingerprint,
    check_versions,
    connection,
    export_keys,
    make_certificate,
)
from softswitch.legs.webrtc.aiortc_private.connection import NamedContext
from softswitch.legs.webrtc.aiortc_private.dtls import DatagramPipe
from softswitch.legs.webrtc.aiortc_private.ice_transport import IceTransport
from softswitch.legs.webrtc.ice import GatherServers, TurnAccess
from softswitch.legs.webrtc.source_filter import Drops
from softswitch.media.rtp.secure import SrtpPair
from softswitch.sdp import CandidateLine, Fingerprint, IceCredentials, candidate_line
from tests.certificates import make_certificate as make_pem
from tests.support.icmp import bound, closed_port, may_be_split, provoke
from tests.support.loops import LOOPS, run
from tests.support.waiting import until


class Owner:
    """Remembers what an ICE session tells."""

    def __init__(self) -> None:
        self.media: list[bytes] = []
        self.dtls: list[bytes] = []
        self.nominations = 0
        self.lost = 0

    def media_received(self, datagram: bytes) -> None:
        self.media.append(datagram)

    def dtls_received(self, datagram: bytes) -> None:
        self.dtls.append(datagram)

    def pair_nominated(self, connection: Connection) -> None:
        self.nominations += 1

    def connection_lost(self, connection: Connection) -> None:
        self.lost += 1

    def candidates_found(self, connection: Connection, lines: Sequence[CandidateLine]) -> None:
        self.trickled = list(lines)

    def relay_refused(self, connection: Connection, reason: str) -> None:
        self.refusal = reason


def session(
    owner: Owner, *addresses: str, controlling: bool = False, servers: GatherServers | None = None
) -> IceConnection:
    options = IceOptions(addresses or ("127.0.0.1",), gather_s=0.3)
    return IceConnection(
        owner, options, servers or GatherServers(), Drops(), Random(owner_seed()), controlling=controlling
    )


def owner_seed(seeds: list[int] = [0]) -> int:  # noqa: B006  (another one for each session)
    seeds[0] += 1
    return seeds[0]


@asynccontextmanager
async def joined(*addresses: str) -> AsyncIterator[tuple[IceConnection, IceConnection, Owner, Owner]]:
    """Give two connected sessions; the first is controlled, as those of the switch are."""
    owners = Owner(), Owner()
    a, b = session(owners[0], *addresses), session(owners[1], *addresses, controlling=True)
    for item in (a, b):
        await item.gather_candidates()
    for item, other in ((a, b), (b, a)):
        item.set_remote(IceCredentials(other.local_username, other.local_password), lite=False)
        for candidate in other.local_candidates:
            await item.add(candidate_line(candidate.to_sdp()))
    try:
        await asyncio.gather(a.connect(), b.connect())
        yield a, b, *owners
    finally:
        await a.shut()
        await b.shut()


# --- signatures ---------------------------------------------------------------------


def test_versions_are_those_that_were_read() -> None:
    check_versions()


def test_functions_take_what_they_are_given() -> None:
    assert list(inspect.signature(StunProtocol.request).parameters)[:3] == ["self", "request", "addr"]
    assert list(inspect.signature(relayed_candidate).parameters) == [
        "component",
        "hide_related_address",
        "protocol_factory",
        "turn_server",
        "turn_username",
        "turn_password",
        "turn_ssl",
        "turn_transport",
    ]
    assert list(inspect.signature(Connection.get_component_candidates).parameters) == [
        "self",
        "component",
        "addresses",
        "timeout",
    ]
    assert list(inspect.signature(Connection.check_complete).parameters) == ["self", "pair"]
    assert list(inspect.signature(Connection.data_received).parameters) == ["self", "data", "component"]
    assert list(inspect.signature(Connection.protocol_lost).parameters) == ["self", "protocol"]
    assert list(inspect.signature(RTCDtlsTransport._set_role).parameters) == ["self", "role"]


def test_turn_transport_keeps_its_task_and_its_socket_under_the_names_that_are_cut() -> None:
    transport = TurnTransport(object())  # type: ignore[arg-type]
    assert vars(transport)["_TurnTransport__close_task"] is None
    assert "_TurnTransport__inner_protocol" in vars(transport)


# --- aioice ---------------------------------------------------------------------------


async def test_session_gathers_on_our_addresses_and_ports() -> None:
    item = IceConnection(
        Owner(),
        IceOptions(("127.0.0.1", "127.0.0.2", "192.0.2.99"), ports=(30400, 30800)),
        GatherServers(),
        Drops(),
        Random(5),
    )
    await item.gather_candidates()
    hosts = [(candidate.host, candidate.type) for candidate in item.local_candidates]
    assert hosts == [("127.0.0.1", "host"), ("127.0.0.2", "host")]
    assert all(30400 <= candidate.port <= 30800 for candidate in item.local_candidates)
    priorities = [candidate.priority for candidate in item.local_candidates]
    assert priorities == sorted(priorities, reverse=True)
    assert len(set(priorities)) == 2
    assert len(item._protocols) == 2
    assert (len(item.local_username), len(item.local_password)) == (8, 24)
    await item.shut()
    assert item._protocols == []


async def test_session_never_takes_a_port_that_is_in_use(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        item = IceConnection(
            Owner(), IceOptions(("127.0.0.1",), ports=(port, port)), GatherServers(), Drops(), Random(3)
        )
        await item.gather_candidates()
        assert item.local_candidates == []
        assert "a host candidate is missing" in caplog.text
        await item.shut()


async def test_nomination_is_told_once_and_names_the_pair() -> None:
    async with joined() as (a, b, owner, other):
        assert (owner.nominations, other.nominations) == (1, 1)
        pair = a.nominated()
        assert pair is not None
        assert not pair.relayed
        assert pair.remote == ("127.0.0.1", b.local_candidates[0].port)
        assert (owner.lost, other.lost) == (0, 0)


async def test_another_nomination_is_told_again() -> None:
    async with joined() as (a, _, owner, _):
        used = a._nominated[1]
        assert isinstance(used, CandidatePair)
        spare = CandidatePair(used.protocol, used.remote_candidate)
        spare.state = CandidatePair.State.SUCCEEDED
        spare.nominated = True
        a.check_complete(used)
        assert owner.nominations == 1
        a.check_complete(spare)
        assert owner.nominations == 2


async def test_media_and_dtls_of_the_peer_reach_the_owner_and_those_of_strangers_do_not() -> None:
    async with joined() as (a, b, owner, _):
        port = a.local_candidates[0].port
        for datagram in (b"\x80 media", b"\x16 dtls"):
            assert b.send_now(datagram)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for datagram in (b"\x80 media", b"\x16 dtls", b"", b"\x7f", b"\x00\x01", bytes(2000)):
                stranger.sendto(datagram, ("127.0.0.1", port))
            await until(lambda: a.drops.oversized > 0)
        await until(lambda: bool(owner.media and owner.dtls))
        assert owner.media == [b"\x80 media"]
        assert owner.dtls == [b"\x16 dtls"]
        drops = a.drops
        assert (drops.stranger, drops.empty, drops.unknown_kind, drops.stun_malformed) == (2, 1, 1, 1)
        assert a._queue.empty()  # nothing waits in aioice, which would have no bound


async def test_stun_that_aioice_cannot_parse_is_counted() -> None:
    async with joined() as (a, b, _, _):
        name = f"{a.local_username}:{b.local_username}".encode()
        named = b"\x00\x06" + len(name).to_bytes(2, "big") + name + bytes(-len(name) % 4)
        broken = b"\x00\x24\x00\x01\x00\x00\x00\x00"  # PRIORITY of one octet
        for body in (named + broken, named + b"\x00\x06\x00\x02\xff\xfe\x00\x00"):
            head = b"\x00\x01" + len(body).to_bytes(2, "big") + b"\x21\x12\xa4\x42" + bytes(12)
            assert b.send_now(head + body)
        await until(lambda: a.drops.stun_malformed == 2)
        assert a.drops.stun_malformed == 2


async def test_no_mutation_of_a_request_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("softswitch.legs.webrtc.source_filter.STUN_BURST", 1_000_000)
    monkeypatch.setattr("softswitch.legs.webrtc.source_filter.STUN_PER_SECOND", 1e12)
    async with joined() as (a, b, owner, _):
        pair = b._nominated[1]
        request = b.build_request(pair, nominate=True)
        request.add_message_integrity(a.local_password.encode())
        good = bytes(request)
        protocol, source = a._nominated[1].protocol, a._nominated[1].remote_addr
        chance = Random(11)
        for _ in range(3000):
            mutated = bytearray(good)
            for _ in range(chance.randrange(1, 6)):
                mutated[chance.randrange(len(mutated))] = chance.randrange(256)
            protocol.datagram_received(bytes(mutated[: chance.randrange(1, len(mutated) + 1)]), source)
            # Signed by who knows the password, but with something missing or of another length.
            request.attributes.pop(chance.choice(list(request.attributes)), None)
            request.add_message_integrity(a.local_password.encode())
            protocol.datagram_received(bytes(request), source)
            request = b.build_request(pair, nominate=chance.random() < 0.5)
        assert a.drops.stun_malformed > 0
        assert owner.lost == 0
        assert a.nominated() is not None


async def test_a_closed_session_tells_its_owner_unless_we_closed_it() -> None:
    async with joined() as (a, b, owner, other):
        await a.close()
        assert owner.lost == 1
        await b.shut()
        assert other.lost == 0
        await a.shut()
        assert owner.lost == 1


async def test_a_lost_socket_is_told_when_it_was_in_use() -> None:
    async with joined() as (a, _, owner, _):
        used = a._nominated[1].protocol
        assert isinstance(used, StunProtocol)
        used.transport.abort()
        await until(lambda: owner.lost > 0)
        assert owner.lost == 1


async def until_as_many(heard: list[bytes], number: int) -> None:
    """Wait until so many datagrams were heard."""
    await until(lambda: len(heard) >= number)


@pytest.mark.each_loop
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_icmp_errors_end_no_reception_of_ice(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    async with joined(address) as (a, b, owner, _):
        with closed_port(family) as closed, socket.socket(fileno=a.duplicate_socket()) as plain:
            assert may_be_split(plain)
            for number in range(1, 6):
                await provoke(plain, closed, times=number)
                assert b.send_now(b"\x80 media %d" % number)
                await until_as_many(owner.media, number)
                assert len(owner.media) == number
        assert (owner.lost, a.nominated() is None) == (0, False)


@pytest.mark.each_loop
async def test_datagram_that_cannot_leave_ends_no_ice() -> None:
    async with joined() as (a, b, owner, _):
        assert a.send_now(bytes(70000))
        await until(lambda: a.drops.socket_errors == 1)
        assert a.drops.socket_errors == 1
        assert b.send_now(b"\x80 media")
        await until(lambda: bool(owner.media))
        assert (owner.media, owner.lost) == ([b"\x80 media"], 0)


class TurnServer(asyncio.DatagramProtocol):
    """A server that gives every client a relay, without asking for a password."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if len(data) < 20:
            return
        asked = stun.parse_message(data)
        answer = stun.Message(asked.message_method, stun.Class.RESPONSE, transaction_id=asked.transaction_id)
        answer.attributes["LIFETIME"] = asked.attributes.get("LIFETIME", 0)
        if asked.message_method == stun.Method.ALLOCATE:
            answer.attributes["XOR-RELAYED-ADDRESS"] = answer.attributes["XOR-MAPPED-ADDRESS"] = addr
        self.transport.sendto(bytes(answer), addr)


class Behind(asyncio.DatagramProtocol):
    """What hears by a relay."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.heard.append(data)


@pytest.mark.each_loop
async def test_icmp_errors_end_no_reception_of_a_relay_by_its_connected_socket() -> None:
    loop = asyncio.get_running_loop()
    server, _ = await loop.create_datagram_endpoint(TurnServer, local_addr=("127.0.0.1", 0))
    address = server.get_extra_info("sockname")
    transport, behind = await create_turn_endpoint(Behind, server_addr=address, username="u", password="p")
    protocol = transport._TurnTransport__inner_protocol  # type: ignore[attr-defined]
    protocol.peer_to_channel["192.0.2.1", 9] = 0x4000
    inner = protocol.transport
    server.abort()
    await asyncio.sleep(0)
    try:
        for number in range(1, 6):
            with socket.socket(fileno=os.dup(inner.get_extra_info("socket").fileno())) as plain:
                await provoke(plain, None, times=number)
            with bound(port=address[1]) as back:
                data = stun.Message(stun.Method.DATA, stun.Class.INDICATION)
                data.attributes["XOR-PEER-ADDRESS"] = ("192.0.2.1", 9)
                data.attributes["DATA"] = b"%d" % number
                back.sendto(bytes(data), inner.get_extra_info("sockname"))
                await until_as_many(behind.heard, number)
            assert behind.heard[-1] == b"%d" % number
    finally:
        server, _ = await loop.create_datagram_endpoint(TurnServer, local_addr=address)
        transport.close()
        await asyncio.wait_for(transport._TurnTransport__close_task, 5)  # type: ignore[attr-defined]
        server.close()


def test_the_duplicate_of_a_socket_sends_from_the_same_port_on_both_loops() -> None:
    async def run() -> None:
        async with joined() as (a, _, _, other):
            pair = a.nominated()
            assert pair is not None
            with socket.socket(fileno=a.duplicate_socket()) as plain:
                assert plain.getsockname()[1] == a.local_candidates[0].port
                assert not os.get_blocking(plain.fileno())
                plain.sendto(b"\x80 direct", pair.remote)
            await until(lambda: bool(other.media))
            assert other.media == [b"\x80 direct"]

    for factory in (asyncio.new_event_loop, uvloop.new_event_loop):
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(run())


async def test_servers_that_do_not_answer_delay_gathering_by_no_more_than_its_bound(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "SILENT_S", 0.1)
    monkeypatch.setattr(connection, "GRANT_S", 0.1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        host, port = deaf.getsockname()
        turn = TurnAccess(host, port, "udp", tls=False, username="u", credential="p")
        owner = Owner()
        item = session(owner, servers=GatherServers((host, port), turn))
        files = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        loop = asyncio.get_running_loop()
        began = loop.time()
        await item.gather_candidates()
        assert 0.2 < loop.time() - began < 1.5
        assert [candidate.type for candidate in item.local_candidates] == ["host"]
        assert "the relay candidate is missing" in caplog.text
        assert owner.refusal == f"the TURN server {host}:{port} does not respond within 0.1 s"
        await item.shut()
        await item.options.releases.stop(5)
        await asyncio.sleep(0)
        assert len(os.listdir("/proc/self/fd")) == files  # noqa: PTH208


async def test_names_of_servers_are_asked_of_the_resolver_and_cost_no_more_than_the_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def thread(*parts: object) -> None:
        raise AssertionError("a name was given to a thread")

    monkeypatch.setattr(socket, "gethostbyname", thread)
    monkeypatch.setattr(socket, "getaddrinfo", thread)
    monkeypatch.setattr(
        "softswitch.legs.webrtc.aiortc_private.connection._is_loopback", lambda address: False
    )
    asked: list[str] = []

    async def silent(name: str, asker: Asker) -> tuple[str, ...]:
        asked.append(name)
        await asyncio.Event().wait()
        return ()

    options = IceOptions(("127.0.0.1",), gather_s=0.05, resolve=silent)
    turn = TurnAccess("turn.silent", 3478, "udp", tls=False, username="u", credential="p")
    servers = GatherServers(("stun.silent", 3478), turn)
    item = IceConnection(Owner(), options, servers, Drops(), Random(1))
    async with asyncio.timeout(60):
        await item.gather_candidates()
    assert sorted(asked) == ["stun.silent", "turn.silent"]
    assert [candidate.type for candidate in item.local_candidates] == ["host"]
    await item.shut()


class Reflecting(asyncio.DatagramProtocol):
    """A STUN server that says what it sees."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        asked = stun.parse_message(data)
        answer = stun.Message(
            message_method=stun.Method.BINDING,
            message_class=stun.Class.RESPONSE,
            transaction_id=asked.transaction_id,
        )
        answer.attributes["XOR-MAPPED-ADDRESS"] = ("192.0.2.77", addr[1])
        self.transport.sendto(bytes(answer), addr)


async def test_a_stun_server_found_by_name_gives_a_reflexive_candidate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "softswitch.legs.webrtc.aiortc_private.connection._is_loopback", lambda address: False
    )
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Reflecting, local_addr=("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]

    async def resolve(name: str, asker: Asker) -> tuple[str, ...]:
        assert name == "stun.test"
        return "::1", "127.0.0.1"

    options = IceOptions(("127.0.0.1",), gather_s=10, resolve=resolve)
    item = IceConnection(Owner(), options, GatherServers(("stun.test", port)), Drops(), Random(1))
    await item.gather_candidates()
    host, reflexive = item.local_candidates
    assert (reflexive.type, reflexive.host, reflexive.port) == ("srflx", "192.0.2.77", host.port)
    assert (reflexive.related_address, reflexive.related_port) == ("127.0.0.1", host.port)
    await item.shut()
    transport.close()


@LOOPS
def test_the_certificate_of_a_dialled_address_is_checked_against_the_name(loop_factory, tmp_path) -> None:
    certificate, key = make_pem(tmp_path)
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificate, key)

    async def scene() -> None:
        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await reader.read()
            writer.close()

        server = await asyncio.start_server(greet, "127.0.0.1", 0, ssl=server_side)
        port = server.sockets[0].getsockname()[1]
        for name, fits in (("localhost", True), ("turn.example", False)):
            context = NamedContext(name)
            context.load_verify_locations(certificate)
            dialling = asyncio.get_running_loop().create_connection(
                asyncio.Protocol, "127.0.0.1", port, ssl=context
            )
            if fits:
                transport, _ = await dialling
                transport.close()
            else:
                with pytest.raises(ssl.SSLCertVerificationError, match=r"turn\.example"):
                    await dialling
        server.close()
        await asyncio.sleep(0.05)

    run(loop_factory, scene())


async def test_a_candidate_with_an_address_is_added_without_waiting() -> None:
    item = session(Owner())
    await item.gather_candidates()
    work = item.add_remote_candidate(Candidate("1", 1, "udp", 1, "127.0.0.1", 5000, "host"))
    with pytest.raises(StopIteration):
        work.send(None)
    assert len(item._check_list) == 1
    await item.shut()


async def test_shut_is_bounded_where_a_socket_never_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("softswitch.legs.webrtc.aiortc_private.connection._CLOSE_S", 0.05)
    item = session(Owner())
    await item.gather_candidates()

    async def hang() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(item._protocols[0], "close", hang)
    await item.shut()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert item.local_candidates


# --- aiortc ---------------------------------------------------------------------------


class Pipe:
    """Two DTLS associations without a network."""

    def __init__(self, **changed: object) -> None:
        server = RsaCertificate.generateCertificate() if changed.get("rsa") else make_certificate()
        self.certificates = make_certificate(), server
        prints = [certificate_fingerprint(item) for item in self.certificates]
        if changed.get("forged"):
            prints[1] = Fingerprint("sha-256", ":".join(["00"] * 32))
        self.closed: list[DtlsAssociation] = []
        self.a = DtlsAssociation(self.certificates[0], "client", [prints[1]], self._to_b, self.closed.append)
        self.b = DtlsAssociation(self.certificates[1], "server", [prints[0]], self._to_a, self.closed.append)

    def _to_a(self, datagram: bytes) -> bool:
        return self.a.feed(datagram) or True

    def _to_b(self, datagram: bytes) -> bool:
        return self.b.feed(datagram) or True


class RsaCertificate(RTCCertificate):
    """That of a telephone that knows no other signature, such as baresip."""

    @classmethod
    def generateCertificate(cls) -> "RsaCertificate":  # noqa: N802
        key: Any = rsa.generate_private_key(65537, 2048)
        return cls(key=key, cert=generate_certificate(key))

    def _create_ssl_context(self, srtp_profiles: list[Any]) -> Any:
        context: Any = super()._create_ssl_context(srtp_profiles)
        context.set_cipher_list(b"ECDHE-RSA-AES128-GCM-SHA256")
        return context


async def test_handshake_succeeds_with_a_server_whose_certificate_is_rsa() -> None:
    pipe = Pipe(rsa=True)
    mine, distant = await asyncio.gather(pipe.a.connect(), pipe.b.connect())
    assert mine.send_key == distant.receive_key
    await pipe.a.close()
    await pipe.b.close()


async def test_handshake_passes_a_network_of_1200_octets() -> None:
    pipe = Pipe()
    sizes: list[int] = []

    def sized(send: Callable[[bytes], bool]) -> Callable[[bytes], bool]:
        def note(datagram: bytes) -> bool:
            sizes.append(len(datagram))
            return send(datagram)

        return note

    for side in (pipe.a, pipe.b):
        side._pipe._out = sized(side._pipe._out)
    await asyncio.gather(pipe.a.connect(), pipe.b.connect())
    assert len(sizes) >= 4
    assert max(sizes) <= 1100
    await pipe.a.close()
    await pipe.b.close()


async def test_keys_of_both_ends_fit_together() -> None:
    pipe = Pipe()
    mine, distant = await asyncio.gather(pipe.a.connect(), pipe.b.connect())
    assert mine.receive_key == distant.send_key
    assert mine.send_key == distant.receive_key
    assert mine.send_key != mine.receive_key
    assert mine.profile == distant.profile
    packet = b"\x80\x00\x00\x01" + bytes(8) + b"sound"
    sender = SrtpPair(mine.receive_key, mine.send_key, mine.profile)
    receiver = SrtpPair(distant.receive_key, distant.send_key, distant.profile)
    assert receiver.unprotect(sender.protect(packet)) == packet
    assert "AES" in repr(mine)
    assert mine.send_key.hex() not in repr(mine)
    await pipe.a.close()
    await until(lambda: bool(pipe.closed))
    assert pipe.closed == [pipe.b]
    await pipe.b.close()


async def test_keys_are_the_ones_aiortc_itself_uses() -> None:
    pipe = Pipe()
    await asyncio.gather(pipe.a.connect(), pipe.b.connect())
    keys = export_keys(pipe.b._dtls)
    packet = b"\x80\x00\x00\x01" + bytes(8) + b"sound"
    own = SrtpPair(keys.receive_key, keys.send_key, keys.profile)
    assert own.unprotect(pipe.a._dtls._tx_srtp.protect(packet)) == packet
    assert pipe.a._dtls._rx_srtp.unprotect(own.protect(packet)) == packet
    await pipe.a.close()
    await pipe.b.close()


async def test_a_forged_certificate_is_refused() -> None:
    pipe = Pipe(forged=True)
    other = asyncio.create_task(pipe.b.connect())
    with pytest.raises(DtlsError):
        await pipe.a.connect()
    await other
    await pipe.a.close()
    await pipe.b.close()


async def test_no_keys_come_of_an_association_that_has_not_begun() -> None:
    pipe = Pipe()
    with pytest.raises(DtlsError):
        export_keys(pipe.a._dtls)
    await pipe.a.close()
    await pipe.b.close()


async def test_a_pipe_is_bounded_and_fails_once_it_is_closed() -> None:
    pipe = DatagramPipe(lambda _: False)
    assert sum(pipe.feed(b"x") for _ in range(100)) == 64
    with pytest.raises(ConnectionError):
        await pipe._send(b"x")
    pipe.close()
    pipe.close()
    assert not pipe.feed(b"x")
    for _ in range(64):
        assert await pipe._recv() == b"x"
    with pytest.raises(ConnectionError):
        await pipe._recv()


@pytest.mark.each_loop
async def test_transport_stops_to_read_and_goes_on_to_send() -> None:
    class Collector(asyncio.DatagramProtocol):
        def __init__(self) -> None:
            self.got: list[bytes] = []
            self.lost = False

        def datagram_received(self, data: bytes, addr: object) -> None:
            self.got.append(data)

        def connection_lost(self, exc: Exception | None) -> None:
            self.lost = True

    with socket.socket(type=socket.SOCK_DGRAM) as far:
        far.bind(("127.0.0.1", 0))
        far.settimeout(5)
        udp = socket.socket(type=socket.SOCK_DGRAM)
        udp.setblocking(False)
        udp.bind(("127.0.0.1", 0))
        address, collector = udp.getsockname(), Collector()
        transport = IceTransport(udp, collector)
        far.sendto(b"one", address)
        await until(lambda: collector.got == [b"one"])
        transport.pause_reading()
        far.sendto(b"two", address)
        transport.sendto(b"sent", far.getsockname())
        assert far.recv(100) == b"sent"
        await asyncio.sleep(0)
        assert collector.got == [b"one"]
        transport.resume_reading()
        await until(lambda: collector.got == [b"one", b"two"])
        assert collector.got == [b"one", b"two"]
        transport.close()
        transport.sendto(b"late", far.getsockname())
        await until(lambda: collector.lost)
        assert transport.is_closing()
        assert udp.fileno() == -1
