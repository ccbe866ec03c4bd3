"""Forgetting an account on all machines of a switch."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from softswitch.store.store import Recording
from softswitch.web.keys import RESOURCES
from tests.conformance.test_any_node import Nodes, configured
from tests.support.simulated.world import Room, World


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    """Run three machines, each with a folder of its own."""
    with Room(seed=7) as room:
        world = World(room, "w", tmp_path, 3, configured, apart=True)
        room.run(world.start())
        yield Nodes(room, world)


def keep(nodes: Nodes, number: int, name: str, account: str, *, file: bool = True) -> Path:
    """Have a machine keep a recording of an account; return its file."""
    path = nodes.world.folder_of(number) / "recordings" / name
    if file:
        path.write_bytes(b"sound")
    store = nodes.world.apps[nodes.world.nodes[number]][RESOURCES].store
    record = Recording(
        name=name, call_id=name, size=5, duration_ms=0, created_at=5, container="wav", account=account
    )

    async def save() -> bool:
        return await store.save_recording(record)

    assert nodes.room.run(save())
    return path


BODY = {"account": "shop"}


def test_files_of_an_account_are_deleted_on_all_machines(nodes):
    files = [keep(nodes, number, f"r{number}.wav", "shop") for number in range(3)]
    other = keep(nodes, 2, "other.wav", "inn")
    status, said = nodes.ask(0, "POST", "/admin/forget", BODY)
    assert status == 200
    assert (said["recordings"], said["unanswered"], said["recordingsLeft"]) == (3, [], 0)
    assert [file.exists() for file in files] == [False] * 3
    assert other.exists()


def test_machines_that_do_not_answer_and_recordings_that_stay_are_told(nodes):
    keep(nodes, 0, "here.wav", "shop")
    keep(nodes, 0, "elsewhere.wav", "shop", file=False)  # its file is on a machine that is away
    kept = keep(nodes, 2, "away.wav", "shop")
    for other in ("w-0", "w-1"):
        nodes.room.webs.break_off("w-2", other)  # the bus still has it
    status, said = nodes.ask(0, "POST", "/admin/forget", BODY)
    assert status == 200
    assert (said["recordings"], said["unanswered"], said["recordingsLeft"]) == (1, ["w-2"], 1)
    assert kept.exists()
    nodes.room.webs.apart.clear()
    assert nodes.ask(1, "POST", "/admin/forget", BODY)[1]["unanswered"] == []
    assert not kept.exists()
