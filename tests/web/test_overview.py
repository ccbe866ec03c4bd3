"""Hours of calls, the metrics that are shown, and trunks over several processes."""

from typing import Any

from aiohttp.test_utils import make_mocked_request

from softswitch.store.store import HourRow
from softswitch.web.overview import HOUR_MS, _merged, by_hour, shown_metrics


def row(hour: int, failure: str, calls: int, setup_ms: int = 0) -> HourRow:
    return HourRow(hour=hour, failure=failure, calls=calls, setup_ms=setup_ms)


def test_hours_sum_up_calls_and_reasons():
    rows = [row(2, "busy", 1), row(1, "", 2, 3000), row(2, "a client's word", 2), row(2, "another", 1)]
    assert by_hour(rows) == [
        {"at": HOUR_MS, "answered": 2, "failed": 0, "reasons": {}, "setupMs": 1500},
        {"at": 2 * HOUR_MS, "answered": 0, "failed": 4, "reasons": {"busy": 1, "other": 3}, "setupMs": None},
    ]


def test_metrics_are_those_that_the_page_reads():
    text = (
        "# HELP softswitch_memory_held_bytes x\nsoftswitch_memory_held_bytes 5.0\n"
        'softswitch_speech_seconds_bucket{le="1"} 2.0\nsoftswitch_routes 3.0\n'
    )
    assert (
        shown_metrics(text)
        == 'softswitch_memory_held_bytes 5.0\nsoftswitch_speech_seconds_bucket{le="1"} 2.0'
    )


def test_overviews_of_several_processes_are_one():
    def of(calls: int, faults: list[str], mos: float) -> dict[str, Any]:
        trunk = {"name": "a", "state": "registered", "calls": calls, "calls_refused": 0}
        quality = {"name": "a", "mos": mos, "loss_percent": 0.0, "far_loss_percent": 0.0, "jitter_ms": 1.0}
        return {
            "at": calls,
            "health": {"faults": faults, "warnings": []},
            "calls": calls,
            "trunks": [trunk],
            "quality": [quality | {"round_trip_ms": 0.0, "intervals": 1}],
            "metrics": f"x {calls}",
        }

    merged = _merged(of(1, ["store"], 4.0), [of(2, [], 3.0)], make_mocked_request("GET", "/admin/overview"))
    assert (merged["at"], merged["calls"], merged["metrics"]) == (1, 3, "x 1\nx 2")
    assert merged["health"] == {"faults": [], "warnings": ["a worker: store"]}
    assert [trunk["calls"] for trunk in merged["trunks"]] == [3]
    assert merged["quality"][0]["mos"] == 3.5
