"""The shared RTP scenarios, each by its own words; addresses and keys are tested where those live."""

import json
from itertools import count

import numpy as np
import pytest

from softswitch.rtp import rtcp
from softswitch.rtp.jitter import JitterBuffer
from softswitch.rtp.packet import UNITS_PER_MS
from softswitch.rtp.playout import PLAY
from softswitch.rtp.timeline import Arrivals
from tests.rtp.player import FRAME, Player, numbered
from tests.rtp.wire import case, packet

PAYLOAD_TYPES = {"pcmu": 0, "pcma": 8, "opus": 111}
ELSEWHERE = {
    "inject-before-latch": "the source filter of the sockets",
    "rtpbleed-after-latch": "the source filter of the sockets",
    "nat-rebind": "the source filter of the sockets",
    "dtls-hello-from-stranger": "the endpoint's source filter",
    "srtp-replay": "the SRTP sessions of the engine",
}
DRIFT = {"clock-drift+200ppm", "clock-drift-200ppm"}


def scenarios():
    return {entry["name"]: entry for entry in json.loads(case("rtp/scenarios.json"))}


SCENARIOS = scenarios()


class Script:
    """Turns the steps of a scenario into datagrams in time."""

    def __init__(self, steps):
        self.arrivals = []
        self.clock = 0.0
        self.sequence, self.timestamp, self.ssrc = 1, 0, 1
        self.index = count()
        self.rng = np.random.default_rng(7)
        for step in steps:
            if "gen" in step:
                self._generate(**step)
            elif step.get("interleave"):
                self._interleave(step)
            elif "pause_s" in step:
                self.clock += step["pause_s"]
            elif "rtcp" in step:
                # A goodbye that comes while the source is being heard.
                self._generate("pcmu", 20)
                goodbye = rtcp.compound([rtcp.ReceiverReport(1), rtcp.Goodbye((1,))])
                self.arrivals.append((self.clock, goodbye))

    def _generate(
        self,
        gen,
        n,
        seq=None,
        ts=None,
        ssrc=None,
        pt=None,
        ptime=20,
        ppm=0,
        dup=1,
        late=(),
        drop=(),
        **options,
    ):
        fixed = ts if ts in {"const", "random"} else None
        self.sequence = self.sequence if seq is None else seq
        self.timestamp = ts if isinstance(ts, int) else self.timestamp
        self.ssrc = ssrc if isinstance(ssrc, int) else self.ssrc
        payload_type = PAYLOAD_TYPES[gen] if pt is None else pt
        step = ptime * (48 if payload_type == 111 else 8)
        dropped = set(drop) | set(range(*options.get("drop_range", (0, 0))))
        delays = {item["i"]: item["ms"] / 1000 for item in late}
        made = []
        for place in range(n):
            source = int(self.rng.integers(2, 2**32)) if ssrc == "random each" else self.ssrc
            stamp = {"const": 5000, "random": int(self.rng.integers(0, 2**32))}.get(
                str(fixed), self.timestamp
            )
            data = packet(
                self.sequence,
                stamp,
                numbered(next(self.index), ptime),
                payload_type=payload_type,
                ssrc=source,
                marker=bool(options.get("marker")) and place == 0,
            )
            if place not in dropped:
                made += [(self.clock + delays.get(place, 0.0), data)] * dup
            self.sequence += 1
            self.timestamp += step
            self.clock += ptime / 1000 * (1 - ppm / 1e6)
        if options.get("reorder") == "swap":
            for first, second in zip(made[::2], made[1::2], strict=True):
                self.arrivals += [(first[0], second[1]), (second[0], first[1])]
        else:
            self.arrivals += made

    def _interleave(self, step):
        for place in range(step["n"]):
            for offset, who in ((0.0, "a"), (0.01, "b")):
                index = place if who == "a" else 10**6 + place
                data = packet(place, 160 * place, numbered(index), ssrc=step[who]["ssrc"])
                self.arrivals.append((self.clock + offset, data))
            self.clock += 0.02


def performed(name):
    script = Script(SCENARIOS[name]["steps"])
    player = Player()
    player.run(script.arrivals)
    return player, script


def between(player, begin, end):
    """Return what was done between two times, seconds."""
    return [what for at, what, _ in player.steps if begin * 1000 <= at < end * 1000]


def delays(player, script):
    """Return from arrival to playing, ms, and when each was played."""
    arrived: dict[int, float] = {}
    for at, data in script.arrivals:
        arrived.setdefault(int.from_bytes(data[12:16]), at * 1000)
    found = [(at, at - arrived[index]) for at, what, index in player.steps if what == "play"]
    return np.array(found)


def test_seq_wrap():
    player, _ = performed("seq-wrap")
    assert player.played == list(range(200))
    assert player.sessions.sources.report(player.slot).highest == 65599


def test_ts_wrap():
    player, _ = performed("ts-wrap")
    assert player.played == list(range(200))
    assert set(between(player, 0.1, 3.9)) == {"play"}


def test_ssrc_change_mid():
    player, _ = performed("ssrc-change-mid")
    assert player.played == [*range(100), *range(102, 200)]
    gap = [what for what in between(player, 1.9, 2.3) if what != "play"]
    assert len(gap) <= 3
    report = player.sessions.sources.report(player.slot)
    assert (report.ssrc, report.lost) == (2, 0)


def test_ssrc_flap_attack():
    player, _ = performed("ssrc-flap-attack")
    assert player.played == list(range(200))
    assert player.sessions.rejected == 200
    assert player.sessions.refused[player.slot] == 200


def test_ssrc_flood():
    player, _ = performed("ssrc-flood")
    # The first of them is taken for the source; no other comes three times.
    assert len(player.played) == 1
    assert player.sessions.rejected == 4999


@pytest.mark.parametrize("name", ["ts-jump-forward-1h", "ts-jump-back", "ts-frozen"])
def test_timestamps_that_jump_or_stand_still(name):
    player, _ = performed(name)
    assert player.played == list(range(100))
    assert set(between(player, 0.1, 1.9)) == {"play"}


def test_ts_random():
    player, _ = performed("ts-random")
    assert player.played == sorted(player.played)
    assert len(player.played) >= 95


def test_seq_jump_3000():
    player, _ = performed("seq-jump-3000")
    assert player.played == [*range(50), *range(51, 100)]


def test_dup_every_packet():
    player, _ = performed("dup-every-packet")
    assert player.played == list(range(100))


def test_reorder_swap_pairs():
    player, _ = performed("reorder-swap-pairs")
    assert player.played == list(range(100))


def test_late_by_500ms():
    player, script = performed("late-by-500ms")
    assert player.played == [*range(50), *range(51, 100)]
    assert len([what for what in between(player, 0.1, 1.9) if what != "play"]) == 1
    late = delays(player, script)
    assert late[late[:, 0] > 1500, 1].max() <= 41


def test_loss_1_then_clean_60s():
    player, script = performed("loss-1-then-clean-60s")
    late = delays(player, script)
    assert np.median(late[late[:, 0] > 4000, 1]) == pytest.approx(
        np.median(late[late[:, 0] < 2000, 1]), abs=2
    )
    assert len(player.played) == 2999


def test_burst_loss_1s():
    player, _ = performed("burst-loss-1s")
    assert player.played == [*range(200), *range(250, 500)]
    synthetic = between(player, 4.03, 5.05)
    assert synthetic.count("conceal") <= 6
    assert "silence" in synthetic


def test_silence_then_resume_30s():
    player, script = performed("silence-then-resume-30s")
    assert player.played == list(range(100))
    assert delays(player, script)[:, 1].max() <= 61


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_clock_drift():
    """Half an hour of both drifts at once, on the bare buffer: calls cost more than slots."""
    packets, ppm = SCENARIOS["clock-drift+200ppm"]["steps"][0]["n"], np.array([200.0, -200.0])
    buffer = JitterBuffer(2)
    number, held = np.zeros(2, np.int64), np.zeros(2, np.int64)
    wire = np.zeros((2, 12 + 160), np.uint8)
    delays, worst = [], 0
    for tick in range(packets):
        now = tick * FRAME
        while len(came := np.flatnonzero(number * FRAME * (1 - ppm / 1e6) <= now)):
            buffer.put(_plain(came, number[came], wire), now)
            number[came] += 1
        slots = np.arange(2)
        if buffer.begin_tick(now):
            buffer.review(slots, held // FRAME * FRAME, now)
        excess = buffer.excess.copy()
        short = slots[held < FRAME]
        while len(short):
            due = buffer.pop(short, now)
            if tick > 5:
                assert (due.action == PLAY).all()
            # As the plane stretches: a pitch period of 5 ms where there is too much or too little.
            change = np.where(excess[short] == 0, 0, np.sign(excess[short]) * FRAME // 4)
            held[short] += due.duration - change
            buffer.excess[short] = 0
            excess[short] = 0
            worst = max(worst, int(np.abs(change).max()))
            short = short[held[short] < FRAME]
        held -= FRAME
        if tick % 50 == 0 and tick > 100:
            delays.append([buffer.delay(slot, int(held[slot]), now) for slot in (0, 1)])
    heard = np.array(delays) / UNITS_PER_MS
    assert worst <= FRAME
    assert (np.ptp(heard, axis=0) <= 40).all()
    assert buffer.late_total == 0


def _plain(slots, number, wire):
    same = np.ones(len(slots), np.int64)
    return Arrivals(
        slots=slots,
        extended=number,
        stamps=number * 160 & 0xFFFFFFFF,
        steps=same * 6,
        durations=same * FRAME,
        kinds=same * 0,
        rows=wire[slots],
        offsets=same * 12,
        lengths=same * 160,
    )


def test_payload_flip_mid():
    player, _ = performed("payload-flip-mid")
    assert player.played == list(range(150))
    assert set(between(player, 0.1, 2.9)) == {"play"}


def test_ptime_change():
    player, _ = performed("ptime-change")
    assert player.played == list(range(150))
    assert set(between(player, 0.1, 4.4)) == {"play"}


def test_rtcp_bye_then_rtp():
    player, _ = performed("rtcp-bye-then-rtp")
    assert player.played == list(range(70))


def test_no_media_30s():
    # Who falls silent is seen by the plane: tests/media/rtp/test_plane.py.
    player, _ = performed("no-media-30s")
    assert player.played == []


def test_every_scenario_is_performed_or_belongs_elsewhere():
    written = {name.removeprefix("test_").replace("_", "-") for name in globals() if name.startswith("test_")}
    parametrized = {"ts-jump-forward-1h", "ts-jump-back", "ts-frozen"} | DRIFT
    assert set(SCENARIOS) <= written | parametrized | set(ELSEWHERE)
