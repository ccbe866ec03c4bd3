"""Compiled code for ordinary packets against Python's for all packets: the same traffic, the same state."""

import os
import random

import numpy as np
import pytest

from softswitch.audio.g711 import ENCODING, ULAW_DECODE
from softswitch.audio.pcm import FRAME, to_int16
from softswitch.compiled import address, library
from softswitch.media.messages import RtpParameters
from softswitch.media.rtp.plane import RtpPlane
from tests.media.rtp.rtp_pair import TICK, give, parameters, voice
from tests.rtp.wire import datagrams, packet, rows

SLOTS = 12
CODECS = ("PCMU", "PCMA", "PCMU", "G722", "PCMU", "opus")
TYPES = {"PCMU": 0, "PCMA": 8, "G722": 9, "opus": 111}


@pytest.fixture(autouse=True)
def code():
    if library() is None:
        assert not os.environ.get("CI"), "no compiled code: python scripts/build_batch.py"
        pytest.skip("no compiled code: python scripts/build_batch.py")


class Network:
    """Senders of all slots, and a network that loses, repeats, delays and reorders by a seed."""

    def __init__(self, seed: int, *, bad: float) -> None:
        self._random, self._bad = random.Random(seed), bad
        self._numbers = [self._random.randrange(65536) for _ in range(SLOTS)]
        self._stamps = [self._random.randrange(2**32) for _ in range(SLOTS)]
        self._held: list[tuple[int, bytes]] = []

    def _octets(self, count: int) -> bytes:
        return self._random.randbytes(count)

    def _next(self, slot: int) -> bytes:
        """Return the next packet of a slot: mostly audio of 20 ms of its codec."""
        name, dice = CODECS[slot % len(CODECS)], self._random.random()
        number, stamp = self._numbers[slot], self._stamps[slot]
        ms, kind, payload = 20, TYPES[name], self._octets(160)
        if dice < self._bad / 4:
            kind, payload = self._random.choice(
                ((101, bytes((5, 10, 0, 160))), (13, b"\x20"), (77, b"?"), (0, b""))
            )
        elif dice < self._bad / 2 and name != "opus":
            ms = self._random.choice((10, 30, 40))
            payload = self._octets(8 * ms)
        elif name == "opus":
            payload = bytes(
                (self._random.choice((0x08, 0x0B, 0xFB)) if dice > 1 - self._bad else 0x08, 1)
            ) + self._octets(30)
        self._numbers[slot] = (number + 1) & 0xFFFF
        self._stamps[slot] = (stamp + (48 if name == "opus" else 8) * ms) & 0xFFFFFFFF
        if self._random.random() < self._bad / 8:
            self._numbers[slot] = self._random.randrange(65536)
        ssrc = 7 if self._random.random() < self._bad / 8 else 50 + slot
        data = packet(number, stamp, payload, payload_type=kind, ssrc=ssrc)
        return _extended(data, self._random.random() < self._bad / 4) if name == "opus" else data

    def tick(self) -> list[tuple[int, bytes]]:
        """Return what arrives in 20 ms."""
        arriving, self._held = self._held, []
        for slot in range(SLOTS):
            data, dice = self._next(slot), self._random.random()
            if dice < self._bad / 2:
                continue
            if dice < self._bad:
                self._held.append((slot, data))
                continue
            arriving.append((slot, data))
            if dice > 1 - self._bad / 4:
                arriving.append((slot, data))
            if dice > 1 - self._bad / 8:
                # A padded packet, RTCP, something short.
                arriving.append(
                    (slot, self._random.choice((b"\xa0" + data[1:], b"\x80\xc8" + bytes(26), b"\x80")))
                )
        self._random.shuffle(arriving)
        return arriving


def _extended(data: bytes, damaged: bool) -> bytes:
    """Return a packet with the header extension of a browser, or one that is longer than the packet."""
    words = 500 if damaged else 2
    return (
        b"\x90" + data[1:12] + b"\xbe\xde" + words.to_bytes(2) + b"\x10\x85\x22\x01\x02\x03\0\0" + data[12:]
    )


def both() -> tuple[RtpPlane, RtpPlane]:
    """Return a plane with compiled code and one without, with the same slots."""
    planes = RtpPlane(SLOTS), RtpPlane(SLOTS, compiled=False)
    for plane in planes:
        for slot in range(SLOTS):
            name = CODECS[slot % len(CODECS)]
            options: RtpParameters = parameters(
                name, ssrc=slot + 1, others=tuple(TYPES), level_extension=3 if slot == 11 else 0
            )
            plane.open(slot, 100 + slot, options, 500.0)
    return planes


def assert_same_state(compiled: RtpPlane, python: RtpPlane) -> None:
    """Compare all numbers of all slots, and all counters."""
    tables, others = compiled._sessions.tables(), python._sessions.tables()
    for name, table in tables.items():
        if name == "transits":
            # Of places that were never written nothing is known.
            written = tables["arrivals"] > 0
            np.testing.assert_array_equal(table[written], others[name][written], name)
        else:
            np.testing.assert_array_equal(table, others[name], name)
    assert compiled.counters == python.counters
    for slot in range(SLOTS):
        assert compiled.statistics(slot) == python.statistics(slot)


def pull(plane: RtpPlane, slots: np.ndarray, now: float) -> np.ndarray:
    out = np.full((len(slots), FRAME), 99.0, np.float32)
    plane.pull(slots, out, now)
    return out


@pytest.mark.parametrize(("seed", "bad"), [(1, 0.0), (2, 0.02), (3, 0.3), (4, 0.05)])
def test_received_audio_is_the_same(seed, bad):
    compiled, python = both()
    network, now, slots = Network(seed, bad=bad), 500.0, np.arange(SLOTS)
    rng = random.Random(seed)
    for tick in range(100):
        arriving = network.tick()
        for plane in (compiled, python):
            give(plane, arriving, now)
        # Some slots are not decoded in some ticks, and a late tick says nothing of the network.
        chosen = np.sort(rng.sample(range(SLOTS), SLOTS - tick % 3)) if bad else slots
        # G.722 is decoded by the same code in both. What is compiled adds in another order.
        np.testing.assert_allclose(pull(compiled, chosen, now), pull(python, chosen, now), atol=0.05)
        for plane in (compiled, python):
            plane.control(now)
        assert_same_state(compiled, python)
        assert compiled.take_reports() == python.take_reports()
        now += 0.07 if bad and tick % 40 == 39 else TICK
    assert compiled.counters["received"] > 60 * SLOTS


def test_stretched_sound_is_the_same(monkeypatch):
    compiled, python = both()
    speaker, _ = both()
    ordinary = compiled._ordinary
    assert ordinary is not None
    changed: list[int] = []
    take = ordinary.take_stretched

    def counted() -> int:
        changed.append(take())
        return changed[-1]

    monkeypatch.setattr(ordinary, "take_stretched", counted)
    slots, chance, now = np.arange(SLOTS), random.Random(8), 500.0
    held: list[list[tuple[int, bytes]]] = [[] for _ in slots]
    for tick, frame in enumerate(voice(14.0)):
        pcm = np.stack([np.roll(frame, 40 * slot) for slot in slots])
        for slot, data in datagrams(speaker.push(pcm, slots, now)):
            held[slot].append((slot, data))
        arriving = []
        for slot in range(SLOTS):
            # A second in five, packets come late and together: the delay grows, and shrinks afterwards.
            if tick % 250 >= 50 or chance.random() < 0.5:
                arriving += held[slot]
                held[slot] = []
        for plane in (compiled, python):
            give(plane, arriving, now)
        np.testing.assert_allclose(pull(compiled, slots, now), pull(python, slots, now), atol=0.05)
        for plane in (compiled, python):
            plane.control(now)
        assert_same_state(compiled, python)
        np.testing.assert_array_equal(compiled._receiver._patience, python._receiver._patience)
        now += TICK
    # The decisions whose slots have to wait for the next tick, or begin behind a loss, are left to Python.
    assert 20 < sum(changed) < compiled.counters["stretched"]


def test_packets_made_are_the_same_to_a_step_of_the_code():
    compiled, python = both()
    sound, now = voice(1.5), 500.0
    slots = np.arange(SLOTS)
    for tick, frame in enumerate(sound):
        pcm = np.stack([np.roll(frame, slot) * (1 + slot % 4) for slot in slots]).astype(np.float32)
        if tick == 50:
            pcm[1] = np.nan
        if tick == 50:
            for plane in (compiled, python):
                plane.send_digits(2, "5", 100, 50)
                plane.set_sending(4, False)
        made, others = (datagrams(plane.push(pcm.copy(), slots, now)) for plane in (compiled, python))
        for (slot, one), (slot_too, other) in zip(made, others, strict=True):
            assert slot == slot_too
            assert one[:12] == other[:12]
            if CODECS[slot % len(CODECS)] == "opus":
                assert one == other
                assert one[0] == (0x90 if slot == 11 else 0x80)
            if one != other and TYPES[CODECS[slot % len(CODECS)]] in {0, 8}:
                codes = (
                    np.frombuffer(one[12:], np.uint8).astype(int),
                    np.frombuffer(other[12:], np.uint8).astype(int),
                )
                assert np.count_nonzero(codes[0] != codes[1]) <= 2
        now += TICK
    assert_same_state(compiled, python)
    for slot in range(SLOTS):
        assert compiled._encoder.last(slot) == pytest.approx(python._encoder.last(slot), abs=0.05)


@pytest.mark.parametrize(("seed", "bad"), [(5, 0.0), (6, 0.04), (7, 0.3)])
def test_forwarded_packets_are_the_same(seed, bad):
    compiled, python = both()
    network, now, slots = Network(seed, bad=bad), 500.0, np.arange(SLOTS)
    # Pairs of one codec and of two; some are decoded as well, and some slots are not relayed.
    pairs = {0: 2, 2: 0, 1: 7, 7: 1, 3: 4, 4: 3, 5: 10, 10: 5, 6: 8, 8: 6, 9: 11, 11: 9}
    for tick in range(120):
        targets = (
            {} if 60 <= tick < 66 else {one: other for one, other in pairs.items() if tick < 90 or one < 3}
        )
        silent = {slot for slot in targets if slot in {0, 2, 3, 4}}
        arriving = network.tick()
        for plane in (compiled, python):
            plane.relay(targets, silent, now)
            # Half of the packets come in a pass between two ticks.
            give(plane, arriving[::2], now)
            give(plane, arriving[1::2], now)
        sent = [
            [found for part in plane.forwarded() for found in datagrams(part)] for plane in (compiled, python)
        ]
        for slot in range(SLOTS):
            one, other = ([data for target, data in part if target == slot] for part in sent)
            assert one == other
        chosen = np.array([slot for slot in slots.tolist() if slot not in silent])
        np.testing.assert_allclose(pull(compiled, chosen, now), pull(python, chosen, now), atol=0.05)
        for plane in (compiled, python):
            plane.control(now)
        assert_same_state(compiled, python)
        now += TICK
    assert compiled.counters["relayed"] > 300


def test_ordinary_conversions_are_those_of_python(monkeypatch):
    compiled, python = both()
    network, now = Network(11, bad=0.0), 500.0
    # Slot 9 takes packets of 10 ms: each of 20 ms becomes two, which is no ordinary conversion.
    for plane in (compiled, python):
        plane.update(9, parameters("G722", ssrc=10, others=tuple(TYPES), ptime_ms=10), now)
    pairs = {3: 4, 4: 3, 5: 10, 10: 5, 9: 11, 11: 9}
    ordinary: list[int] = []
    resample = compiled._relay.transcoder.resample_ordinary

    def counted(kind, other, pcm, slots, targets):
        ordinary.extend(slots.tolist())
        return resample(kind, other, pcm, slots, targets)

    monkeypatch.setattr(compiled._relay.transcoder, "resample_ordinary", counted)
    said = voice(1.0)
    held: list[tuple[int, bytes]] = []
    for tick in range(40):
        arriving, held = held + network.tick(), []
        if tick % 8 == 6:
            # Two packets of each source will come in one pass.
            arriving, held = held, arriving
        for plane in (compiled, python):
            # What was mixed before the relays begin leaves a step that fades.
            if tick == 9:
                plane.push(np.stack([said[tick]] * SLOTS), np.arange(SLOTS), now)
            plane.relay(*((pairs, pairs.keys()) if tick >= 10 else ({}, frozenset())), now)
            give(plane, arriving, now)
        sent = [
            [found for part in plane.forwarded() for found in datagrams(part)] for plane in (compiled, python)
        ]
        # The step towards G.711 depends on sums in another order.
        for slot in (3, 5, 9, 11):
            one, other = ([data for target, data in part if target == slot] for part in sent)
            assert one == other
        for plane in (compiled, python):
            if tick < 10:
                pull(plane, np.arange(SLOTS), now)
            plane.control(now)
        assert_same_state(compiled, python)
        now += TICK
    # Python has prepared the decoder of each source before, perhaps with its first packet.
    assert all(ordinary.count(slot) >= 29 for slot in pairs if slot != 11)
    assert 11 not in ordinary


def test_slots_may_grow_while_they_are_used():
    compiled, python = both()
    network, now = Network(9, bad=0.05), 500.0
    for tick in range(60):
        arriving = network.tick()
        for plane in (compiled, python):
            if tick == 30:
                plane.grow(4 * SLOTS)
                plane.open(2 * SLOTS, 900, parameters(ssrc=99), now)
            give(plane, arriving, now)
        slots = np.arange(SLOTS)
        np.testing.assert_allclose(pull(compiled, slots, now), pull(python, slots, now), atol=0.05)
        now += TICK
    assert_same_state(compiled, python)


def test_a_packet_behind_one_that_was_left_is_left():
    compiled, python = both()
    for plane in (compiled, python):
        for tick in range(20):
            give(plane, [(0, packet(tick, 160 * tick, bytes(160), ssrc=50))], 500.0 + tick * TICK)
        late = [(0, packet(number, 160 * number, bytes(160), ssrc=50)) for number in (21, 20, 22)]
        give(plane, late, 500.0 + 20 * TICK)
    assert_same_state(compiled, python)


def test_a_packet_behind_a_report_is_taken_in():
    compiled, python = both()
    report = b"\x80\xc9\x00\x01" + bytes(8)
    for tick in range(20):
        one = packet(tick, 160 * tick, bytes(160), ssrc=50)
        for plane in (compiled, python):
            give(plane, [(0, one)] if tick < 19 else [(0, report), (0, one)], 500.0 + tick * TICK)
    assert_same_state(compiled, python)
    data, lengths = rows([report, packet(20, 3200, bytes(160), ssrc=50), report])
    ordinary = compiled._ordinary
    assert ordinary is not None
    left = ordinary.accept(data, lengths, np.zeros(3, np.intp), round(500.4 * 48000), timed=True)
    assert left is not None
    assert left.tolist() == [0, 2]


def test_memory_that_is_not_in_one_piece_has_no_address():
    assert address(ULAW_DECODE) == ULAW_DECODE.ctypes.data
    frozen = np.frombuffer(bytes(8), np.uint8)
    assert address(frozen) == frozen.ctypes.data
    with pytest.raises(ValueError, match="contiguous"):
        address(np.zeros((4, 4), np.float32)[:, :2])


@pytest.mark.parametrize("law", ["PCMU", "PCMA"])
def test_codes_of_all_samples_are_those_of_the_tables(law):
    # Packets of a sound that is constant for long enough have its code, whatever the filter did before.
    planes = both()[:1]
    ordinary = planes[0]._ordinary
    assert ordinary is not None
    kind = {"PCMU": 0, "PCMA": 1}[law]
    slots = np.arange(SLOTS)
    differing = 0
    for level in range(-33000, 33000, 37):
        pcm = np.full((SLOTS, 480), level, np.float32)
        ordinary.pack(kind, pcm, slots)
        rows = ordinary.pack(kind, pcm, slots)[0]
        last = ordinary.last[slots]
        differing += int(np.count_nonzero(rows[:, -1] != ENCODING[law][to_int16(last).view(np.uint16)]))
    assert differing == 0
