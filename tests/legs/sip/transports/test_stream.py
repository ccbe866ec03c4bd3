"""TCP and TLS connections, over real loopback."""

import asyncio
import ssl
from dataclasses import replace

import pytest

from softswitch.legs.sip.transports import TransportLimits
from softswitch.sip.transaction.flow import Flow
from tests.certificates import make_certificate
from tests.legs.sip.transports.wires import MESSAGE, wires


async def dial(here):
    return await asyncio.open_connection("127.0.0.1", here.transports.port)


async def until_gone(reader: asyncio.StreamReader) -> None:
    async with asyncio.timeout(60):
        try:
            assert await reader.read() == b""
        except ConnectionResetError:
            return


async def shut(writer: asyncio.StreamWriter) -> None:
    writer.close()
    try:
        await writer.wait_closed()
    except OSError:
        return


async def test_message_in_pieces_is_one_and_the_answer_goes_back_the_same_way():
    async with wires() as here:
        reader, writer = await dial(here)
        writer.write(MESSAGE[:10])
        await writer.drain()
        writer.write(MESSAGE[10:] + MESSAGE)
        data, flow = await here.inbox.message()
        again, same = await here.inbox.message()
        assert data == again == MESSAGE
        assert flow == same
        assert flow.connection
        here.send(b"answer", flow)
        assert await reader.readexactly(6) == b"answer"
        await shut(writer)
        async with asyncio.timeout(60):
            assert await here.inbox.lost.get() == flow


async def test_ping_gets_its_pong():
    async with wires() as here:
        reader, writer = await dial(here)
        writer.write(b"\r\n\r\n")
        assert await reader.readexactly(2) == b"\r\n"
        assert here.counters.keep_alives == 1
        await shut(writer)


async def test_nonsense_closes_the_connection():
    async with wires() as here:
        reader, writer = await dial(here)
        writer.write(b"x" * 70000)
        await until_gone(reader)
        assert here.counters.connections_broken == 1
        await shut(writer)


async def test_connections_beyond_the_bounds_are_closed_at_once():
    async with wires(limits=TransportLimits(per_address=2)) as here:
        lines = [await dial(here) for _ in range(3)]
        await until_gone(lines[2][0])
        assert here.counters.connections_refused == 1
        assert len(here.transports) == 2
        for _, writer in lines:
            await shut(writer)


async def test_trusted_address_has_no_bound_of_its_own():
    async with wires(limits=TransportLimits(per_address=1), trusted=True) as here:
        lines = [await dial(here) for _ in range(3)]
        lines[2][1].write(MESSAGE)
        await here.inbox.message()
        assert len(here.transports) == 3
        for _, writer in lines:
            await shut(writer)


async def test_connection_that_says_nothing_is_closed_and_one_that_spoke_is_kept():
    now = [100.0]
    async with wires(limits=TransportLimits(first_s=5, idle_s=50), clock=lambda: now[0]) as here:
        silent, silent_writer = await dial(here)
        silent_writer.write(b"OPTIONS")
        _, writer = await dial(here)
        writer.write(MESSAGE)
        _, flow = await here.inbox.message()
        now[0] += 6
        here.look()
        await until_gone(silent)
        assert here.transports.is_open(flow)
        now[0] += 51
        here.look()
        async with asyncio.timeout(60):
            while here.transports.is_open(flow):
                await asyncio.sleep(0)
        assert here.counters.connections_idle == 2
        await shut(writer)
        await shut(silent_writer)


async def test_peer_that_reads_nothing_loses_its_connection():
    async with wires(limits=TransportLimits(send_bytes=65536)) as here:
        _, writer = await dial(here)
        writer.write(MESSAGE)
        _, flow = await here.inbox.message()
        for _ in range(2000):
            here.send(b"x" * 60000, flow)
            if here.failed.is_set():
                break
        assert here.failed.is_set()
        async with asyncio.timeout(60):
            assert await here.inbox.lost.get() == flow
        await shut(writer)


async def test_messages_share_one_connection_that_is_opened_for_them():
    async with wires() as here, wires() as there:
        to = Flow("tcp", "127.0.0.1", there.transports.port)
        for _ in range(3):
            here.send(MESSAGE, to)
        flows = {(await there.inbox.message())[1] for _ in range(3)}
        assert len(flows) == 1
        (flow,) = flows
        there.send(MESSAGE, flow)
        _, back = await here.inbox.message()
        here.send(MESSAGE, replace(back, connection=0))
        assert (await there.inbox.message())[1] == flow
        assert len(here.transports) == len(there.transports) == 1


async def test_connection_of_ours_is_kept_alive():
    now = [100.0]
    async with wires(clock=lambda: now[0]) as here, wires() as there:
        here.send(MESSAGE, Flow("tcp", "127.0.0.1", there.transports.port))
        await there.inbox.message()
        now[0] += 31
        here.look()
        async with asyncio.timeout(60):
            while not there.counters.keep_alives:
                await asyncio.sleep(0.01)
            while not here.counters.keep_alives:  # the pong
                await asyncio.sleep(0.01)


async def test_connection_that_cannot_be_opened_fails_what_waited_for_it():
    async with wires() as here:
        async with wires() as there:
            port = there.transports.port
        here.send(MESSAGE, Flow("tcp", "127.0.0.1", port))
        await here.failure()


async def test_connection_of_the_peer_cannot_be_opened_again():
    async with wires() as here:
        _, writer = await dial(here)
        writer.write(MESSAGE)
        _, flow = await here.inbox.message()
        await shut(writer)
        async with asyncio.timeout(60):
            await here.inbox.lost.get()
        assert not here.transports.is_open(flow)
        here.send(MESSAGE, flow)
        assert here.failed.is_set()


@pytest.fixture
def contexts(tmp_path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    certificate, key = make_certificate(tmp_path)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificate, key)
    return server, ssl.create_default_context(cafile=str(certificate))


async def test_tls_server_is_checked_by_the_name_it_was_found_by(contexts):
    server, client = contexts
    async with wires(tls=server) as there, wires(client_tls=client) as here:
        here.transports.set_server_name("127.0.0.1", "localhost")
        here.send(MESSAGE, Flow("tls", "127.0.0.1", there.transports.tls_port))
        data, flow = await there.inbox.message()
        assert (data, flow.transport) == (MESSAGE, "tls")


async def test_tls_server_of_another_name_is_not_spoken_to(contexts):
    server, client = contexts
    async with wires(tls=server) as there, wires(client_tls=client) as here:
        here.transports.set_server_name("127.0.0.1", "sip.example.org")
        here.send(MESSAGE, Flow("tls", "127.0.0.1", there.transports.tls_port))
        await here.failure()
        assert there.inbox.messages.empty()
