import asyncio

import pytest
from aiohttp import web

from softswitch.egress import EgressClient, EgressFailed, EgressPool, EgressRefused


@pytest.fixture
async def pool():
    made = EgressPool(EgressClient(max_bytes=100_000))
    yield made
    await made.close()


def peer(request):
    return request.transport.get_extra_info("peername")


@pytest.mark.each_loop
async def test_requests_share_a_connection(pool, serve):
    peers = []

    async def answer(request):
        peers.append(peer(request))
        return web.Response(body=await request.read())

    port = await serve(web.post("/", answer))
    for _ in range(3):
        async with pool.request(f"http://127.0.0.1:{port}/", body=b"hello", trusted=True) as answered:
            assert (answered.status, await answered.read(100)) == (200, b"hello")
    assert len(set(peers)) == 1


async def test_body_is_read_while_it_arrives_and_leaving_early_closes(pool, serve):
    gone = asyncio.Event()

    async def answer(request):
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 100)
                await asyncio.sleep(0.005)
        except (ConnectionError, asyncio.CancelledError):
            gone.set()
            raise

    port = await serve(web.post("/", answer))
    async with asyncio.timeout(60):
        async with pool.request(f"http://127.0.0.1:{port}/", trusted=True) as answered:
            async for chunk in answered.chunks():
                assert chunk.startswith(b"x")
                break
        await gone.wait()


async def test_body_beyond_the_bound_fails(pool, serve):
    async def answer(request):
        return web.Response(body=bytes(200_000))

    port = await serve(web.post("/", answer))
    async with pool.request(f"http://127.0.0.1:{port}/", trusted=True) as answered:
        with pytest.raises(EgressFailed, match="more than 100000 bytes"):
            async for _ in answered.chunks():
                pass


async def test_private_address_is_refused_unless_the_operator_wrote_it(pool, canary):
    with pytest.raises(EgressRefused, match="not public"):
        async with pool.request(f"http://127.0.0.1:{canary.port}/"):
            pass
    assert canary.hits == 0


async def test_trusted_connections_are_not_those_of_clients(pool, serve):
    async def answer(request):
        return web.Response(text="ok")

    port = await serve(web.post("/", answer))
    async with pool.request(f"http://127.0.0.1:{port}/", trusted=True):
        pass
    with pytest.raises(EgressRefused):
        async with pool.request(f"http://127.0.0.1:{port}/"):
            pass


async def test_server_that_says_nothing_is_given_up(pool, mute):
    with pytest.raises(EgressFailed, match=r"within 0\.05 s"):
        async with pool.request(f"http://127.0.0.1:{mute}/", trusted=True, timeout_s=0.05):
            pass


async def test_name_is_resolved_anew_after_a_while(serve, names):
    async def answer(request):
        return web.Response(text="ok")

    port = await serve(web.post("/", answer))
    names.answers["speech.example"] = [["127.0.0.1"]]
    times = iter((0.0, 30.0, 61.0, 61.0))
    pool = EgressPool(EgressClient(resolve=names), clock=lambda: next(times))
    for _ in range(3):
        async with pool.request(f"http://speech.example:{port}/", trusted=True) as answered:
            assert await answered.read(10) == b"ok"
    assert names.asked == ["speech.example", "speech.example"]
    await pool.close()
