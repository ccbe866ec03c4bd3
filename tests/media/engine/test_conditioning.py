"""Echo, noise and loudness of ports in the engine."""

import numpy as np

from softswitch.audio.pcm import FRAME
from softswitch.media import messages as m
from softswitch.media.engine.conditioning import Conditioning
from tests.media.rig import Rig


def test_gain_control_raises_a_quiet_port_alone_and_ends_with_it() -> None:
    rig = Rig()
    quiet, monitor = rig.feed_port(), rig.feed_port(speaks=False)
    sound = np.random.default_rng(1).standard_normal((150, FRAME)).astype(np.float32) * 300.0
    levels = []
    rig.post(m.SetGainControl(quiet, True))
    for row in sound:
        rig.say(quiet, row)
        rig.tick()
        levels.append(rig.heard(monitor).std())
        rig.forget()
    assert levels[-1] > 3 * levels[0]
    rig.post(m.SetGainControl(quiet, False))
    rig.say(quiet, sound[0])
    rig.tick()
    assert rig.heard(monitor).std() < 1.2 * sound[0].std()


def test_echo_control_takes_what_a_port_was_sent_out_of_what_it_says() -> None:
    rig = Rig()
    echoing, other, monitor = rig.feed_port(), rig.feed_port(), rig.feed_port(speaks=False)
    rng = np.random.default_rng(1)
    rig.post(m.SetEchoControl(echoing, True))
    before = np.zeros(FRAME, np.float32)
    left = []
    for number in range(250):
        row = (rng.standard_normal(FRAME) * 2000.0).astype(np.float32)
        rig.say(other, row)
        rig.say(echoing, before * 0.5)
        rig.tick()
        if number >= 200:
            left.append(float(np.square(rig.heard(monitor)[-FRAME:] - row).mean()))
        rig.forget()
        before = row
    assert np.mean(left) < 0.02 * 1000.0**2


def test_a_port_that_is_gone_has_nothing_left() -> None:
    conditioning = Conditioning(None)
    conditioning.cancel_echo(1, on=True)
    conditioning.control_gain(1, on=True)
    conditioning.control_gain(2, on=True)
    assert (len(conditioning), conditioning.ports(), conditioning.cancelled) == (3, {1, 2}, {1})
    conditioning.forget(1)
    assert (len(conditioning), conditioning.ports()) == (1, {2})
