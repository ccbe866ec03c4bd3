"""Metrics of several workers in one text, and merged lists."""

from typing import Any

from softswitch.web.gathering import MERGES, merged_metrics

REQUEST: Any = None
"""No merge of these looks at the request."""
ONE = """# HELP softswitch_calls_active Active calls
# TYPE softswitch_calls_active gauge
softswitch_calls_active{type="sip"} 2.0
# HELP softswitch_up x
# TYPE softswitch_up gauge
softswitch_up 1.0
"""


def test_samples_get_the_label_of_their_worker_and_families_stand_once():
    lines = merged_metrics({"1": ONE, "2": ONE.replace("2.0", "3.0")})
    assert lines == [
        "# HELP softswitch_calls_active Active calls",
        "# TYPE softswitch_calls_active gauge",
        'softswitch_calls_active{worker="1",type="sip"} 2.0',
        'softswitch_calls_active{worker="2",type="sip"} 3.0',
        "# HELP softswitch_up x",
        "# TYPE softswitch_up gauge",
        'softswitch_up{worker="1"} 1.0',
        'softswitch_up{worker="2"} 1.0',
    ]


def test_lists_are_merged_in_order():
    merge = MERGES["GET /call/lists"]
    own = {"calls": [{"id": "b", "created_at": "2"}]}
    far = [{"calls": [{"id": "c", "created_at": "3"}]}, {"calls": [{"id": "a", "created_at": "1"}]}]
    assert [call["id"] for call in merge(own, far, REQUEST)["calls"]] == ["a", "b", "c"]


def test_a_device_that_two_nodes_know_stands_once():
    contact = {"uri": "sip:a", "address": "1"}
    user = {"name": "anna", "registered": True, "contacts": [contact]}
    away = {"name": "anna", "registered": False, "contacts": []}
    merged = MERGES["GET /admin/users"](
        {"users": [away]}, [{"users": [user]}, {"users": [dict(user)]}], REQUEST
    )
    assert merged == {"users": [{"name": "anna", "registered": True, "contacts": [contact]}]}


def test_the_state_of_a_trunk_is_that_of_the_node_that_registers_it():
    waiting = {"name": "t", "state": "registering", "calls": 1, "calls_refused": 0}
    registered = {"name": "t", "state": "registered", "calls": 2, "calls_refused": 1}
    merged = MERGES["GET /admin/trunks"]({"trunks": [waiting]}, [{"trunks": [registered]}], REQUEST)
    assert merged == {"trunks": [{"name": "t", "state": "registered", "calls": 3, "calls_refused": 1}]}


def test_an_open_room_stands_before_its_stored_copy_and_pages_are_cut_once():
    def page(*rooms, total):
        return {"data": list(rooms), "pagination": {"limit": 1, "offset": 1, "total": total}}

    open_room = {"id": "a", "status": "active", "created_at": "2"}
    closed = {"id": "a", "status": "closed", "created_at": "2"}
    older = {"id": "b", "status": "closed", "created_at": "1"}
    merged = MERGES["GET /api/v1/rooms"](
        page(closed, older, total=2), [page(open_room, older, total=2)], REQUEST
    )
    assert merged["data"] == [older]
    assert merged["pagination"]["total"] == 2


def test_one_ready_worker_is_enough():
    merge = MERGES["GET /readyz"]
    ready, late = {"status": "ready"}, {"status": "not ready", "faults": ["media"]}
    assert merge(ready, [late], REQUEST) == ready
    assert merge(late, [ready], REQUEST)["warnings"] == ["a worker: media"]
    assert merge(late, [late], REQUEST)["faults"] == ["media"]


def test_queues_of_several_nodes_are_added_up():
    one = {"name": "sales", "users": ["a", "b"], "free": ["a", "b"], "waiting": 1}
    one["callers"] = [{"id": "x", "place": 2}]
    figures = {"entered": 3, "abandoned": 0, "timedOut": 0, "refused": 0, "ringsMissed": 1}
    own = {"queues": [{**one, **figures, "answered": 1, "meanWaitMs": 4000, "longestWaitMs": 4000}]}
    other = {
        **one,
        "callers": [{"id": "y", "place": 1}],
        "free": ["b"],
        "answered": 3,
        "meanWaitMs": 2000,
        "longestWaitMs": 3000,
    }
    far = {"queues": [{**other, **figures}, {**other, **figures, "name": "help"}]}
    sales, support = MERGES["GET /queues"](own, [far], REQUEST)["queues"]
    assert (sales["waiting"], sales["entered"], sales["answered"], sales["free"]) == (2, 6, 4, ["b"])
    assert (sales["meanWaitMs"], sales["longestWaitMs"]) == (2500, 4000)
    assert [caller["id"] for caller in sales["callers"]] == ["y", "x"]
    assert support["name"] == "help"


def test_callers_of_several_nodes_are_shown_by_their_place_in_the_line():
    def of(*callers: tuple[str, int]) -> dict[str, Any]:
        figures = dict.fromkeys(("entered", "abandoned", "timedOut", "refused", "ringsMissed", "answered"), 0)
        shown = [{"id": name, "place": place} for name, place in callers]
        return {
            "queues": [
                {"name": "sales", "free": [], "waiting": len(shown), "callers": shown, **figures}
                | {"meanWaitMs": 0, "longestWaitMs": 0}
            ]
        }

    (sales,) = MERGES["GET /queues"](of(("b", 2)), [of(("a", 1), ("d", 4)), of(("c", 3))], REQUEST)["queues"]
    assert [caller["id"] for caller in sales["callers"]] == ["a", "b", "c", "d"]
