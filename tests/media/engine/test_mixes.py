"""Mixing: every port hears the others of its mix."""

from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.audio.pcm import FRAME
from softswitch.media import messages as m
from softswitch.media.engine.mixes import Mixing
from tests.media.rig import Rig, steady


@dataclass
class Member:
    mix: int
    own_mix: int
    speaks: bool = True
    listens: bool = True
    id: int = 0
    audience: frozenset[int] | None = None


def members():
    mixes = st.integers(1, 4)
    return st.lists(st.builds(Member, mixes, mixes, st.booleans(), st.booleans()), max_size=9)


def mixed(people, said, frames=None):
    mixing, heard = Mixing(people), np.full_like(said, 7.0)
    mixing.mix(said, heard)
    return heard, mixing.add_tracks(frames or {}, heard)


@settings(max_examples=200, deadline=None)
@given(members(), st.integers(0, 2**32 - 1))
def test_each_port_hears_all_others_and_not_itself(people, seed):
    said = np.random.default_rng(seed).uniform(-2000, 2000, (len(people), FRAME)).astype(np.float32)
    for row, member in enumerate(people):
        if not member.speaks:
            said[row] = 0.0
    heard, sounding = mixed(people, said)
    for row, member in enumerate(people):
        others = [other for other, one in enumerate(people) if one.mix == member.mix and other != row]
        wanted = said[others].sum(axis=0) if others else np.zeros(FRAME)
        np.testing.assert_allclose(heard[row], wanted, atol=0.01)
        assert sounding[row] == any(people[other].speaks for other in others)


@settings(max_examples=100, deadline=None)
@given(members(), st.sets(st.integers(1, 4)))
def test_tracks_are_heard_in_their_mix_and_by_those_whose_call_it_is(people, sounding_mixes):
    frames = {mix: steady(10.0**mix / 10) for mix in sounding_mixes}
    said = np.zeros((len(people), FRAME), np.float32)
    heard, sounding = mixed(people, said, frames)
    for row, member in enumerate(people):
        mixes = {member.mix, member.own_mix} & sounding_mixes
        np.testing.assert_allclose(heard[row], sum(10.0**mix / 10 for mix in mixes), rtol=1e-6)
        if mixes:
            assert sounding[row]


def test_two_hear_each_other_exactly():
    said = np.random.default_rng(1).uniform(-9000, 9000, (2, FRAME)).astype(np.float32)
    heard, _ = mixed([Member(1, 1), Member(1, 1)], said)
    np.testing.assert_array_equal(heard, said[::-1])


def test_loud_mix_is_bent_and_not_cut():
    said = np.stack([steady(30000.0)] * 3)
    heard, _ = mixed([Member(1, 1)] * 3, said)
    assert (heard < 32768.0).all()
    assert (heard > 30000.0).all()


def test_mix_of_ports_that_cannot_hear_yet_is_unready():
    waiting, listener, source = Member(1, 1, False, False), Member(1, 1), Member(1, 1, True, False)
    assert Mixing([waiting]).unready == {1}
    assert Mixing([waiting, source]).unready == {1}
    assert Mixing([waiting, listener]).unready == set()
    assert Mixing([source]).unready == set()
    assert Mixing([]).unready == set()


def test_bridge_moves_conversation_and_leaves_tracks_with_their_call():
    rig = Rig()
    caller, callee = rig.feed_port(mix=1), rig.feed_port(mix=2)
    rig.track(mix=1, pcm=steady(100.0, 48000))
    rig.post(m.JoinMix(callee, 1))
    for _ in range(5):
        rig.say(caller, steady(1000.0))
        rig.say(callee, steady(2000.0))
        rig.tick()
    assert (rig.heard(caller) == 2100.0).all()
    assert (rig.heard(callee) == 1100.0).all()
    rig.track(mix=2, pcm=steady(10.0, 48000))
    rig.forget()
    rig.tick()
    assert (rig.heard(callee)[:FRAME] == 110.0).all()
    assert (rig.heard(caller)[:FRAME] == 100.0).all()


def test_unbridge_separates_at_once():
    rig = Rig()
    caller, callee = rig.feed_port(mix=1), rig.feed_port(mix=2)
    rig.post(m.JoinMix(callee, 1))
    rig.say(caller, steady(1000.0, 4800))
    rig.tick(2)
    rig.post(m.JoinMix(callee, 2))
    rig.forget()
    rig.tick(3)
    assert not rig.heard(callee).any()
    assert len(rig.frames[callee]) == 1


def test_muted_port_hears_and_is_not_heard():
    rig = Rig()
    one, other = rig.feed_port(), rig.feed_port()
    rig.post(m.SetMuted(one, True))
    rig.say(one, steady(1000.0, 4800))
    rig.say(other, steady(500.0, 4800))
    rig.tick(2)
    assert not rig.heard(other).any()
    assert (rig.heard(one) == 500.0).all()
    rig.post(m.SetMuted(one, False))
    rig.forget()
    rig.tick()
    assert (rig.heard(other) == 1000.0).all()


def test_rtp_and_feed_ports_meet_in_one_mix():
    rig = Rig()
    phone, socket = rig.rtp_port(), rig.feed_port()
    rig.say(phone, steady(300.0))
    rig.say(socket, steady(40.0))
    rig.tick()
    assert (rig.heard(phone) == 40.0).all()
    assert (rig.heard(socket) == 300.0).all()


def noise(rows):
    return np.random.default_rng(7).uniform(-9000, 9000, (rows, FRAME)).astype(np.float32)


def test_one_who_listens_hears_both_and_changes_no_sample():
    said = noise(3)
    heard, sounding = mixed([Member(1, 1), Member(1, 1), Member(1, 9, audience=frozenset())], said)
    np.testing.assert_array_equal(heard[:2], said[1::-1])
    np.testing.assert_array_equal(heard[2], said[0] + said[1])
    assert sounding.all()


def test_whisper_is_heard_by_its_audience_alone():
    agent, customer = Member(1, 1, id=11), Member(1, 1, id=12)
    supervisor = Member(1, 9, id=13, audience=frozenset({11}))
    said = noise(3) / 4
    heard, _ = mixed([agent, customer, supervisor], said)
    np.testing.assert_array_equal(heard[0], said[1] + said[2])
    np.testing.assert_array_equal(heard[1], said[0])
    np.testing.assert_array_equal(heard[2], said[0] + said[1])


def test_whisper_reaches_one_who_hears_nothing_else():
    alone, supervisor = Member(1, 1, id=1), Member(1, 9, id=2, audience=frozenset({1, 5}))
    said = noise(2) / 4
    heard, sounding = mixed([alone, supervisor], said)
    np.testing.assert_array_equal(heard, said[::-1])
    assert sounding.all()


def test_supervisor_listens_whispers_joins_and_leaves():
    rig = Rig()
    agent, customer, supervisor = rig.feed_port(mix=1), rig.feed_port(mix=1), rig.feed_port(mix=2)
    levels = {agent: 100.0, customer: 200.0, supervisor: 400.0}
    for order, heard in (
        (m.JoinMix(supervisor, 1, ()), (200.0, 100.0, 300.0)),
        (m.JoinMix(supervisor, 1, (agent,)), (600.0, 100.0, 300.0)),
        (m.JoinMix(supervisor, 1), (600.0, 500.0, 300.0)),
        (m.JoinMix(supervisor, 2), (200.0, 100.0, 0.0)),
    ):
        rig.post(order)
        rig.forget()
        for port, level in levels.items():
            rig.say(port, steady(level))
        rig.tick()
        for port, level in zip(levels, heard, strict=True):
            assert (rig.heard(port) == level).all(), order
