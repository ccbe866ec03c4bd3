"""Files of another machine, by way of any."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from softswitch.web.seeking import SOUGHT, seeking
from tests.conformance.test_any_node import KEY, Nodes, configured
from tests.support.simulated.world import Room, World


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    """Run three machines, each with a folder of its own."""
    with Room(seed=4) as room:
        world = World(room, "w", tmp_path, 3, configured, apart=True)
        room.run(world.start())
        yield Nodes(room, world)


def test_a_piece_of_a_recording_of_another_machine_is_fetched(nodes):
    (nodes.world.folder_of(2) / "recordings" / "r.wav").write_bytes(b"0123456789")

    async def fetch() -> tuple[int, str, bytes]:
        client = nodes.world._clients[nodes.world.node(0)]
        headers = {"Authorization": f"Bearer {KEY}", "Range": "bytes=2-4"}
        async with client.get("http://127.0.0.1:8080/recordings/r.wav?download", headers=headers) as answer:
            return answer.status, answer.headers["Content-Disposition"], await answer.read()

    assert nodes.room.run(fetch()) == (206, 'attachment; filename="r.wav"', b"234")


def test_a_file_is_found_while_one_machine_is_away(nodes):
    (nodes.world.folder_of(2) / "recordings" / "r.wav").write_bytes(b"here")
    nodes.world.lose(nodes.world.nodes[1])
    assert nodes.ask(0, "GET", "/recordings/r.wav") == (200, "here")
    nodes.world.lose(nodes.world.nodes[2])
    assert nodes.ask(0, "GET", "/recordings/r.wav")[0] == 404


def test_other_routes_are_served_as_before():
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response()

    assert seeking("GET", "/calls", handler) is handler
    assert seeking("GET", "/recordings", handler) is handler
    for route in SOUGHT:
        method, _, path = route.partition(" ")
        assert seeking(method, path, handler) is not handler
