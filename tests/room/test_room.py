"""The pure model of a room: tables, times, events and their recipients."""

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.room import events as ev
from softswitch.room.model import (
    MAX_PENDING,
    PRESENCES,
    Participant,
    Presence,
    RoomOptions,
    RoomState,
    RoomTimes,
    Stats,
    Step,
)
from softswitch.room.rejection import RoomReason, RoomRefused
from softswitch.room.room import GONE_KEPT, Room

SDP = "v=0\r\n"


def person(name: str, **more: object) -> Participant:
    return Participant(f"p-{name}", f"s-{name}", name, "", 0.0, **more)  # type: ignore[arg-type]


def room(topology: str = "p2p", **more: object) -> Room:
    return Room("r", "switch", 0.0, wish=RoomOptions(topology=topology, **more), times=RoomTimes(20, 30, 5))  # type: ignore[arg-type]


def told(room: Room) -> list[tuple[tuple[str, ...], str]]:
    return [(each.to, type(each.event).__name__) for each in room.take_told()]


def done(room: Room) -> list[str]:
    return [type(effect).__name__ for effect in room.take_effects()]


def test_states_follow_the_number_of_people() -> None:
    one = room()
    states = [one.state]
    one.join(person("a"), 1, bound=True)
    states.append(one.state)
    one.join(person("b"), 1, bound=True)
    states.append(one.state)
    one.leave("p-a", 2)
    states.append(one.state)
    one.leave("p-b", 2)
    states.append(one.state)
    assert states == ["created", "waiting", "active", "waiting", "closed"]
    assert one.reason == "all_participants_left"
    assert done(one)[-1] == "Finish"


def test_nobody_who_has_left_comes_back() -> None:
    assert not [step for (state, step) in PRESENCES if state is Presence.LEFT]
    assert all((state, Step.LEAVE) in PRESENCES for state in Presence if state is not Presence.LEFT)


def test_waiting_for_a_peer_takes_as_long_as_it_takes() -> None:
    one = room()
    one.join(person("a"), 0, bound=True)
    assert one.deadline() is None
    one.join(person("b"), 100, bound=True)
    assert one.deadline() == 130
    one.elapse(130)
    assert one.state is RoomState.CLOSED
    assert [name for _, name in told(one)].count("RoomError") == 2


def test_a_seat_asked_for_by_rest_is_given_up() -> None:
    one = room()
    one.join(person("a"), 0, bound=False)
    assert one.deadline() == 30
    one.elapse(29.9)
    assert "p-a" in one.people
    one.elapse(30)
    assert one.gone["p-a"].reason == "connection_timeout"


def test_a_mixed_room_gives_the_time_from_joining() -> None:
    one = room("mix")
    one.join(person("a"), 0, bound=True)
    assert one.deadline() == 30
    one.offer("p-a", SDP, 1)
    one.answered("p-a", SDP, 2)
    one.flowing("p-a", 3)
    assert one.deadline() is None
    assert one.people["p-a"].state is Presence.CONNECTED


def test_who_is_left_alone_waits_for_another_peer() -> None:
    one = room()
    one.join(person("a"), 0, bound=True)
    one.join(person("b"), 0, bound=True)
    one.offer("p-a", SDP, 1)
    one.answer("p-b", SDP, 1)
    assert [each.state for each in one.people.values()] == [Presence.CONNECTED] * 2
    one.leave("p-b", 2)
    assert one.people["p-a"].state is Presence.CONNECTING
    assert one.deadline() is None
    one.join(person("c"), 50, bound=True)
    one.offer("p-a", SDP, 51)
    one.answer("p-c", SDP, 51)
    assert [each.state for each in one.people.values()] == [Presence.CONNECTED] * 2


def test_grace_is_twenty_seconds() -> None:
    one = room("mix")
    one.join(person("a"), 0, bound=True)
    one.drop("p-a", 5)
    assert one.deadline() == 25
    again = Participant("p-x", "s-x", "a", "", 0.0)
    assert one.join(again, 24, bound=True).id == "p-a"
    assert one.deadline() == 54
    one.drop("p-a", 30)
    one.elapse(50)
    assert one.gone["p-a"].reason == "connection_lost"


def test_new_socket_of_the_same_client_takes_a_seat_whose_socket_seems_to_live() -> None:
    one = room("mix")
    one.join(person("a"), 0, bound=True)
    one.offer("p-a", SDP, 0)
    one.flowing("p-a", 1)
    one.join(person("b"), 1, bound=True)
    one.take_told()
    assert one.join(Participant("p-x", "s-x", "a", "", 0.0), 2, bound=True).id == "p-a"
    assert one.people["p-a"].state is Presence.CONNECTED
    assert told(one) == [(("p-a",), "Joined")]
    for other in (Participant("p-x", "s-x", "a", "thief", 0.0), person("a")):
        with pytest.raises(RoomRefused):
            one.join(other, 3, bound=other.owner == "thief")


def test_who_comes_back_while_its_audio_goes_on_is_connected() -> None:
    one = room("mix")
    one.join(person("a"), 0, bound=True)
    one.offer("p-a", SDP, 0)
    one.flowing("p-a", 1)
    one.drop("p-a", 2)
    one.join(Participant("p-x", "s-x", "a", "", 0.0), 3, bound=True)
    assert one.people["p-a"].state is Presence.CONNECTED


def test_a_new_connection_replaces_one_that_waits_and_renegotiates_one_that_stands() -> None:
    one = room("mix")
    one.join(person("a"), 0, bound=True)
    one.take_effects()
    one.offer("p-a", SDP, 0)
    assert done(one) == ["OpenSeat"]
    one.answered("p-a", SDP, 0)
    one.flowing("p-a", 0)
    one.take_effects()
    one.offer("p-a", SDP, 0)
    assert done(one) == ["OfferSeat"]


def test_another_connection_of_who_came_back_gets_a_seat_of_its_own() -> None:
    one = room("mix")
    one.join(person("a"), 0, bound=True)
    one.offer("p-a", "v=0\r\no=- 11 1 IN IP4 0.0.0.0\r\n", 0)
    one.answered("p-a", SDP, 0)
    one.flowing("p-a", 0)
    one.drop("p-a", 1)
    one.join(Participant("p-x", "s-x", "a", "", 0.0), 2, bound=True)
    one.take_effects()
    one.offer("p-a", "v=0\r\no=- 11 2 IN IP4 0.0.0.0\r\n", 2)
    one.answered("p-a", SDP, 2)
    one.offer("p-a", "v=0\r\no=- 22 1 IN IP4 0.0.0.0\r\n", 3)
    assert [name for name in done(one) if name.endswith("Seat")] == ["OfferSeat", "OpenSeat"]


def test_recording_begins_with_the_first_and_ends_with_the_room() -> None:
    one = room("mix", record=True)
    one.join(person("a"), 0, bound=True)
    assert "SetRecording" in done(one)
    one.close("deleted", 1)
    assert [e for e in one.take_effects() if isinstance(e, ev.SetRecording)] == [ev.SetRecording(on=False)]


def test_a_call_makes_an_open_room_mix_and_is_refused_by_two_peers() -> None:
    one = room("")
    one.join(person("a", kind="call"), 0, bound=False)
    assert one.mixing
    assert one.seats == 5
    two = room("")
    two.join(person("a"), 0, bound=True)
    with pytest.raises(RoomRefused) as refused:
        two.join(person("b", kind="call"), 0, bound=False)
    assert refused.value.reason is RoomReason.PEER_TO_PEER


def test_what_waits_for_a_peer_is_bounded() -> None:
    one = room()
    one.join(person("a"), 0, bound=True)
    one.offer("p-a", SDP, 0)
    for _ in range(MAX_PENDING - 1):
        one.candidate("p-a", {"candidate": ""}, 0)
    with pytest.raises(RoomRefused):
        one.candidate("p-a", {"candidate": ""}, 0)


def test_the_past_is_bounded() -> None:
    one = room("mix")
    one.join(person("stays"), 0, bound=True)
    for number in range(GONE_KEPT + 10):
        one.join(person(str(number)), 0, bound=True)
        one.leave(f"p-{number}", 0)
    assert len(one.gone) == GONE_KEPT


def test_figures_of_several_connections_of_one_stay_add_up() -> None:
    stats = Stats()
    stats.add(Stats(100, 90, 1000, 900, 2.0, 10, "switch"))
    stats.add(Stats(300, 310, 3000, 3100, 0.0, 30, "switch"))
    assert stats == Stats(400, 400, 4000, 4000, 0.5, 25, "switch")


def test_figures_that_come_after_the_end_are_kept() -> None:
    one = room("mix")
    one.join(person("a"), 0, bound=True)
    one.leave("p-a", 1)
    one.take_effects()
    one.measured("p-a", Stats(1, 1, 1, 1, 0.0, 0, "switch"))
    assert done(one) == ["KeepParticipant"]


NAMES = st.sampled_from(["a", "b", "c"])


def call(one: Room, fresh: Participant, who: str, now: float) -> None:
    """Put a call into a room."""
    fresh.kind = "call"
    one.join(fresh, now, bound=False)


DEEDS: dict[str, Callable[[Room, Participant, str, float], object]] = {
    "join": lambda one, fresh, who, now: one.join(fresh, now, bound=True),
    "rest": lambda one, fresh, who, now: one.join(fresh, now, bound=False),
    "call": call,
    "drop": lambda one, fresh, who, now: one.drop(who, now),
    "leave": lambda one, fresh, who, now: one.leave(who, now),
    "offer": lambda one, fresh, who, now: one.offer(who, SDP, now),
    "answer": lambda one, fresh, who, now: one.answer(who, SDP, now),
    "candidate": lambda one, fresh, who, now: one.candidate(who, {"candidate": ""}, now),
    "mute": lambda one, fresh, who, now: one.mute(who, now % 2 == 0, now),
    "flowing": lambda one, fresh, who, now: one.flowing(who, now),
    "lost": lambda one, fresh, who, now: one.seat_lost(who, now),
    "spoke": lambda one, fresh, who, now: one.spoke(who, now % 2 == 0, now),
    "elapse": lambda one, fresh, who, now: one.elapse(now),
    "stats": lambda one, fresh, who, now: one.tell_stats(who, Stats(), now),
    "state": lambda one, fresh, who, now: one.tell_state(who, "failed", now),
}
VERBS = st.tuples(st.sampled_from(sorted(DEEDS)), NAMES)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["", "p2p", "mix"]), st.lists(VERBS, max_size=40))
def test_in_any_order_nothing_breaks(topology: str, verbs: list[tuple[str, str]]) -> None:
    one = room(topology)
    now = 0.0
    for number, (verb, name) in enumerate(verbs):
        now += 3.0
        who = next((p.id for p in one.people.values() if p.agent == name), "unknown")
        fresh = Participant(f"{name}{number}", f"s{number}", name, "", now)
        if verb == "elapse":
            now += 30
        with contextlib.suppress(RoomRefused):
            DEEDS[verb](one, fresh, who, now)
        for each in one.take_told():
            assert each.to
        one.take_effects()
        assert len({p.agent for p in one.people.values()}) == len(one.people)
        assert len(one.people) <= max(one.seats, 1)
        assert (one.state is RoomState.CLOSED) <= (not one.people)


def test_room_that_was_not_entered_expires() -> None:
    one = Room("r", "switch", 0.0, times=RoomTimes(20, 30, 5, empty_s=60))
    assert one.deadline() == 60
    one.update(10, name="b", settings={}, wish=RoomOptions())
    assert one.deadline() == 70
    one.elapse(69.9)
    assert one.state is RoomState.CREATED
    one.elapse(70)
    assert (one.state, one.reason) == (RoomState.CLOSED, "expired")
    assert done(one)[-1] == "Finish"


def test_room_that_was_entered_does_not_expire() -> None:
    one = Room("r", "switch", 0.0, wish=RoomOptions(topology="mix"), times=RoomTimes(20, 30, 5, empty_s=60))
    one.join(person("a"), 1, bound=True)
    one.flowing("p-a", 2)
    assert one.deadline() is None
    one.elapse(1000)
    assert one.state is RoomState.WAITING


def test_room_without_a_time_to_expire_is_kept() -> None:
    assert room().deadline() is None


def test_who_may_not_speak_stays_muted() -> None:
    one = room("mix")
    one.join(person("a", may_speak=False), 1, bound=True)
    assert one.people["p-a"].muted
    one.answered("p-a", SDP, 2)
    assert "MuteSeat" in done(one)
    with pytest.raises(RoomRefused, match="speak"):
        one.mute("p-a", False, 3)
    assert one.people["p-a"].muted


def test_who_comes_back_with_less_is_muted() -> None:
    one = room("mix")
    one.join(person("a"), 1, bound=True)
    one.drop("p-a", 2)
    done(one)
    one.join(person("a", may_speak=False), 3, bound=True)
    assert one.people["p-a"].muted
    assert "MuteSeat" in done(one)


def full(*names: str) -> Room:
    """Return a mixed room whose participants have been told all so far."""
    one = room("mix")
    for name in names:
        one.join(person(name), 0, bound=True)
    one.take_told()
    return one


def heard(one: Room, participant: str) -> list[ev.RoomEvent]:
    return [each.event for each in one.take_told() if participant in each.to]


def back(one: Room, name: str, now: float) -> list[ev.RoomEvent]:
    """Bring a participant back; return what it is told."""
    one.take_told()
    one.join(Participant(f"p-{name}2", "s-x", name, "", now), now, bound=True)
    return heard(one, f"p-{name}")


def test_who_comes_back_is_told_who_is_muted_and_who_is_not_any_more() -> None:
    one = full("a", "b", "c", "d")
    one.mute("p-b", True, 1)
    one.mute("p-c", True, 1)
    one.drop("p-a", 2)
    one.mute("p-b", False, 3)
    one.mute("p-a", True, 3)
    told_again = back(one, "a", 4)
    muted = [event for event in told_again if isinstance(event, ev.MutedChanged)]
    assert {event.participant: event.muted for event in muted} == {"p-a": True, "p-b": False, "p-c": True}
    assert isinstance(told_again[0], ev.Joined)
    assert heard(one, "p-b") == []


def test_who_comes_back_is_told_who_came_left_and_fell_silent() -> None:
    one = full("a", "b", "c")
    one.spoke("p-b", True, 1)
    one.spoke("p-c", True, 1)
    one.drop("p-a", 2)
    one.join(person("d"), 3, bound=True)
    one.join(person("brief"), 3, bound=True)
    one.leave("p-brief", 4)
    one.spoke("p-b", False, 4)
    one.leave("p-c", 5)
    one.spoke("p-d", True, 5)
    events = [(type(event).__name__, getattr(event, "participant", "")) for event in back(one, "a", 6)]
    assert events == [
        ("Joined", "p-a"),
        ("VoiceStopped", "p-b"),
        ("ParticipantLeft", "p-c"),
        ("ParticipantJoined", "p-d"),
        ("VoiceStarted", "p-d"),
    ]
    one.drop("p-a", 7)
    assert [type(event).__name__ for event in back(one, "a", 8)] == ["Joined", "VoiceStarted"]


def test_what_was_missed_is_bounded_by_who_was_there() -> None:
    one = full("a", "b")
    one.drop("p-a", 1)
    for number in range(50):
        one.join(person(f"{number}"), 1, bound=True)
        one.spoke(f"p-{number}", True, 1)
        one.leave(f"p-{number}", 2)
    assert len(back(one, "a", 3)) == 1


def test_peers_have_to_be_allowed_to_speak() -> None:
    one = room("p2p")
    with pytest.raises(RoomRefused, match="speak") as refused:
        one.join(person("a", may_speak=False), 1, bound=True)
    assert refused.value.reason is RoomReason.SPEAK_NEEDED
    assert one.state is RoomState.CREATED
