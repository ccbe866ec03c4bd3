"""Records for the tests of stores."""

from softswitch.store import CallRecord, DatabaseStore, Recording


def record(call_id: str, created_at: int = 1000, **more: object) -> CallRecord:
    return CallRecord(id=call_id, kind="websocket", created_at=created_at, **more)  # type: ignore[arg-type]


def recording(name: str, created_at: int = 1000) -> Recording:
    return Recording(name=name, call_id="c", size=1, duration_ms=20, created_at=created_at, container="wav")


async def flush(store: DatabaseStore) -> None:
    """Wait until all that was handed over before is written."""
    await store.save_recording(recording("flush.wav"))
