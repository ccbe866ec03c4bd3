"""Which worker a SIP message goes to."""

from softswitch.bus.place import mark_of
from softswitch.supervisor import distribution as module
from softswitch.supervisor.distribution import AFTER_FINAL_S, KEPT_S, Distribution


class World:
    """A distribution over workers whose load a test sets."""

    def __init__(self, *workers):
        self.loads = dict.fromkeys(workers, 0)
        self.live = set(workers)
        self.distribution = Distribution(self.least, lambda: list(self.loads))

    def least(self):
        worker = min(self.loads, key=lambda one: self.loads[one], default=0)
        if worker:
            self.loads[worker] += 1
        return worker

    def choose(self, data, now=0.0):
        return self.distribution.choose(data, self.live, now)


def request(method="INVITE", call_id="c1", to="", extra=b"", via="z9hG4bKpeer"):
    tag = f";tag={to}" if to else ""
    return (
        (
            f"{method} sip:x@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch={via}\r\nFrom: <sip:p@h>;tag=p\r\n"
            f"To: <sip:x@h>{tag}\r\nCall-ID: {call_id}\r\nCSeq: 1 {method}\r\n"
        ).encode()
        + extra
        + b"\r\n"
    )


def response(code, branch="z9hG4bKpeer", call_id="c1"):
    return (
        f"SIP/2.0 {code} X\r\nVia: SIP/2.0/UDP h;branch={branch}\r\n"
        f"Call-ID: {call_id}\r\nCSeq: 1 INVITE\r\n\r\n"
    ).encode()


def test_new_calls_go_to_the_least_loaded_and_stay_there():
    world = World(1, 2, 3)
    chosen = [world.choose(request(call_id=f"c{number}")) for number in range(6)]
    assert sorted(chosen) == [1, 1, 2, 2, 3, 3]
    for number, worker in enumerate(chosen):
        for method in ("INVITE", "ACK", "CANCEL"):
            assert world.choose(request(method, call_id=f"c{number}")) == worker


def test_marks_decide_before_the_call_id():
    world = World(1, 2)
    assert world.choose(request("BYE", to=f"{mark_of(2)}abcd", call_id="unknown")) == 2
    assert world.choose(response(200, f"z9hG4bK{mark_of(1)}aa")) == 1
    assert world.choose(response(200, "z9hG4bKforeign")) == 0
    replaces = f"Replaces: other;to-tag={mark_of(2)}ff;from-tag=p\r\n".encode()
    for _ in range(4):
        assert world.choose(request(call_id="new", extra=replaces)) == 2


def test_short_names_of_headers_are_read():
    world = World(1, 2)
    data = "BYE sip:x SIP/2.0\r\nv: SIP/2.0/UDP h;branch=z9hG4bKx\r\n"
    data += f"t: <sip:x>;tag={mark_of(2)}\r\ni: q\r\n\r\n"
    assert world.choose(data.encode()) == 2


def test_a_call_id_is_forgotten_after_its_final_response():
    world = World(1, 2)
    first = world.choose(request(), 0)
    world.distribution.sent(response(180), 1)
    assert world.choose(request("CANCEL"), KEPT_S - 1) == first
    world.distribution.sent(response(200), 1)
    world.distribution.sweep(1 + AFTER_FINAL_S - 0.1)
    assert len(world.distribution) == 1
    world.distribution.sweep(1 + AFTER_FINAL_S)
    assert len(world.distribution) == 0


def test_requests_without_a_dialog_meet_one_worker_always():
    world = World(1, 2, 3)
    chosen = {
        f"r{number}": world.choose(request("REGISTER", call_id=f"r{number}"), 0) for number in range(60)
    }
    assert set(chosen.values()) == {1, 2, 3}
    for call_id, worker in chosen.items():
        assert world.choose(request("REGISTER", call_id=call_id), KEPT_S + 1) == worker
    del world.loads[3]
    moved = {c for c in chosen if world.choose(request("REGISTER", call_id=c), 3 * KEPT_S) != chosen[c]}
    assert moved == {c for c, worker in chosen.items() if worker == 3}, "only its share moves"


def test_messages_of_a_lost_worker_go_to_its_heir():
    world = World(1, 2)
    world.live.discard(2)
    del world.loads[2]
    late = response(200, f"z9hG4bK{mark_of(2)}aa")
    assert world.choose(late) == 0
    world.distribution.inherit(2, 1)
    assert world.choose(late) == 1
    assert world.choose(request("BYE", to=f"{mark_of(2)}aa")) == 1


def test_a_retiring_worker_keeps_its_calls_and_gets_no_new_ones():
    world = World(1, 2)
    kept = world.choose(request(call_id="old"))
    del world.loads[kept]
    assert world.choose(request(call_id="old")) == kept
    assert {world.choose(request(call_id=f"n{number}")) for number in range(5)} == {3 - kept}


def test_without_workers_nothing_is_chosen():
    assert World().choose(request()) == 0
    assert World().choose(request("OPTIONS")) == 0


def test_the_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "MOST_CALLS", 10)
    monkeypatch.setattr(module, "MOST_HEIRS", 2)
    world = World(1)
    for number in range(50):
        world.choose(request(call_id=f"c{number}"))
        world.distribution.inherit(number + 5, 1)
    assert len(world.distribution) == 10
    assert world.choose(b"nonsense") in (0, 1)
