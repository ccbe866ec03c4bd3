"""Listeners of one mix share one encoding without an audible difference."""

import numpy as np
import pytest

from softswitch.media import messages as m
from softswitch.media.engine.engine import Engine
from softswitch.media.rtp.plane import RtpPlane
from tests.media.rig import Rig, sine
from tests.media.rtp.rtp_pair import FORMATS, parameters


class RoomRig(Rig):
    """A feed port that speaks into a room, and telephones in it."""

    def __init__(self) -> None:
        super().__init__()
        self.rtp = RtpPlane()
        self.engine = Engine(plane=self.rtp)
        self.voice = self.feed_port(listens=False)
        self.tone = sine(400 * 480, 437.0).astype(np.float32).reshape(-1, 480)
        self.said = 0
        self.encoded = 0

    def phone(self, name="PCMU", *, muted=True, **options) -> int:
        port = self.new_id()
        own = m.RtpParameters((FORMATS[name],), FORMATS[name], ssrc=100 + port, cname="us", **options)
        self.post(m.AddRtpPort(port, 1, own), m.ConnectPlain(port, -1, "127.0.0.1", 9))
        self.post(m.SetMuted(port, muted))
        return port

    def talk(self, ticks: int) -> None:
        for _ in range(ticks):
            self.say(self.voice, self.tone[self.said])
            self.said += 1
            self.tick()

    def count_encodings(self, name: str) -> list[int]:
        """Return a list that gets the number of rows of each encoding."""
        kind = ["PCMU", "PCMA", "G722", "opus"].index(name)
        bank = self.rtp._formats.bank(kind)
        counts: list[int] = []
        encode = bank.encode

        def counting(pcm, slots):
            counts.append(len(slots))
            return encode(pcm, slots)

        setattr(bank, "encode", counting)  # noqa: B010  (a method of one object)
        return counts

    def payloads(self, port: int) -> list[bytes]:
        return [data[12:] for data in self.datagrams.get(port, []) if not 192 <= data[1] <= 223]


@pytest.mark.parametrize("name", ["PCMU", "G722", "opus"])
def test_silent_listeners_are_encoded_for_once(name):
    rig = RoomRig()
    counts = rig.count_encodings(name)
    ears = [rig.phone(name) for _ in range(5)]
    rig.talk(30)
    assert set(counts[5:]) == {1}
    sent = [rig.payloads(port) for port in ears]
    assert all(packets == sent[0] for packets in sent)
    assert len(sent[0]) == 30
    first = [rig.datagrams[port][0] for port in ears]
    assert len({data[8:12] for data in first}) == 5


def test_whoever_may_speak_is_encoded_for_alone():
    rig = RoomRig()
    counts = rig.count_encodings("PCMU")
    for _ in range(4):
        rig.phone()
    rig.phone(muted=False)
    rig.talk(10)
    assert set(counts[5:]) == {2}


def test_different_forms_are_not_mixed_up():
    rig = RoomRig()
    counts = rig.count_encodings("opus")
    slow = [rig.phone("opus", bitrate=16000) for _ in range(2)]
    fast = [rig.phone("opus", bitrate=48000) for _ in range(2)]
    g711 = [rig.phone("PCMU") for _ in range(2)]
    long = [rig.phone("PCMU", ptime_ms=40) for _ in range(2)]
    rig.talk(30)
    assert set(counts[5:]) == {2}
    for pair in (slow, fast, g711, long):
        one, other = (rig.payloads(port) for port in pair)
        assert one == other
    assert sum(map(len, rig.payloads(fast[0]))) > 1.5 * sum(map(len, rig.payloads(slow[0])))
    assert {len(data) for data in rig.payloads(long[0])} == {320}


def shared_and_alone(events) -> tuple[list[bytes], list[bytes]]:
    """Return what a port is sent when it sometimes shares, and when it never does."""
    sent = []
    for shares in (True, False):
        rig = RoomRig()
        if not shares:
            setattr(rig.rtp._encoder, "share", lambda groups: None)  # noqa: B010  (as above)
        ears = [rig.phone() for _ in range(3)]
        for event in events:
            event(rig, ears)
            rig.talk(7)
        sent.append(rig.payloads(ears[1]))
    return sent[0], sent[1]


def test_sharing_may_begin_and_end_at_any_time():
    shared, alone = shared_and_alone(
        [
            lambda rig, ears: None,
            lambda rig, ears: rig.post(m.SetMuted(ears[1], False)),
            lambda rig, ears: rig.post(m.SetMuted(ears[1], True)),
            lambda rig, ears: rig.post(m.RemovePort(ears[0])),
            lambda rig, ears: rig.post(m.UpdateRtp(ears[2], parameters("PCMA"))),
            lambda rig, ears: ears.append(rig.phone()),
            lambda rig, ears: rig.post(m.JoinMix(ears[1], 9)),
            lambda rig, ears: rig.post(m.JoinMix(ears[1], 1)),
        ]
    )
    assert len(shared) == 56
    # Who comes back from elsewhere takes up what the others hear at once, without his filter's beginning.
    assert [index for index in range(56) if shared[index] != alone[index]] in ([], [49])


def test_tones_are_played_to_one_listener_alone():
    rig = RoomRig()
    ears = [rig.phone() for _ in range(3)]
    rig.talk(10)
    rig.post(m.SendDigits(ears[0], "5", 100, 70))
    rig.talk(5)
    dialled, others = rig.payloads(ears[0])[-4:], [rig.payloads(port)[-4:] for port in ears[1:]]
    assert others[0] == others[1]
    assert dialled != others[0]
    rig.talk(20)
    assert rig.payloads(ears[0])[-1] == rig.payloads(ears[1])[-1]
