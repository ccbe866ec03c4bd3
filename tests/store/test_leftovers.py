"""Records that a crash left open."""

from pathlib import Path

from softswitch.store import DatabaseStore
from tests.store.records import record


async def test_store_keeps_what_it_had_and_marks_what_a_crash_cut_off(tmp_path: Path) -> None:
    now = [50.0]
    first = DatabaseStore(tmp_path, free_bytes=0, clock=lambda: now[0])
    await first.start()
    await first.save_call(record("running", created_at=60_000, answered_at=61_000))
    await first.save_call(record("young", created_at=90_000))
    now[0] = 70.0
    await first.probe()
    await first.save_call(record("ended", ended_at=5, reason="caller"))
    await first.close()
    second = DatabaseStore(tmp_path, free_bytes=0)
    await second.start()
    calls = {call.id: call for call in await second.records.calls()}
    await second.close()
    assert (calls["running"].reason, calls["running"].initiator) == ("interrupted", "system")
    assert (calls["running"].ended_at, calls["running"].duration_ms) == (70_000, 9_000), "as last seen"
    assert (calls["young"].ended_at, calls["young"].duration_ms) == (90_000, 0)
    assert calls["ended"].reason == "caller"
