"""Who hears whom."""

from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.audio.pcm import FRAME
from softswitch.media import messages as m
from softswitch.media.mixes import Mixing
from tests.media.rig import Rig, steady


@dataclass
class Someone:
    mix: int
    own_mix: int
    speaks: bool = True
    listens: bool = True


def members():
    mixes = st.integers(1, 4)
    return st.lists(st.builds(Someone, mixes, mixes, st.booleans(), st.booleans()), max_size=9)


def mixed(people, said, frames=None):
    mixing, heard = Mixing(people), np.full_like(said, 7.0)
    mixing.hear(said, heard)
    return heard, mixing.add_tracks(frames or {}, heard)


@settings(max_examples=200, deadline=None)
@given(members(), st.integers(0, 2**32 - 1))
def test_nobody_hears_himself_and_everybody_hears_all_others(people, seed):
    said = np.random.default_rng(seed).uniform(-2000, 2000, (len(people), FRAME)).astype(np.float32)
    for row, someone in enumerate(people):
        if not someone.speaks:
            said[row] = 0.0
    heard, sounding = mixed(people, said)
    for row, someone in enumerate(people):
        others = [other for other, one in enumerate(people) if one.mix == someone.mix and other != row]
        wanted = said[others].sum(axis=0) if others else np.zeros(FRAME)
        np.testing.assert_allclose(heard[row], wanted, atol=0.01)
        assert sounding[row] == any(people[other].speaks for other in others)


@settings(max_examples=100, deadline=None)
@given(members(), st.sets(st.integers(1, 4)))
def test_tracks_are_heard_in_their_mix_and_by_those_whose_call_it_is(people, sounding_mixes):
    frames = {mix: steady(10.0**mix / 10) for mix in sounding_mixes}
    said = np.zeros((len(people), FRAME), np.float32)
    heard, sounding = mixed(people, said, frames)
    for row, someone in enumerate(people):
        mixes = {someone.mix, someone.own_mix} & sounding_mixes
        np.testing.assert_allclose(heard[row], sum(10.0**mix / 10 for mix in mixes), rtol=1e-6)
        if mixes:
            assert sounding[row]


def test_two_hear_each_other_exactly():
    said = np.random.default_rng(1).uniform(-9000, 9000, (2, FRAME)).astype(np.float32)
    heard, _ = mixed([Someone(1, 1), Someone(1, 1)], said)
    np.testing.assert_array_equal(heard, said[::-1])


def test_loud_mix_is_bent_and_not_cut():
    said = np.stack([steady(30000.0)] * 3)
    heard, _ = mixed([Someone(1, 1)] * 3, said)
    assert (heard < 32768.0).all()
    assert (heard > 30000.0).all()


def test_mix_of_ports_that_cannot_hear_yet_is_unready():
    waiting, listener, source = Someone(1, 1, False, False), Someone(1, 1), Someone(1, 1, True, False)
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
