"""Carry calls between two codecs through rtpengine (userspace) and through the production engine, in turn.

Both carry the same packets of the same telephones: UDP on the loopback, a packet every 20 ms, something like
speech. CPU is that of the whole process, user and system. Only packets of the telephone's own payload type
count. The telephones of the first call send tone bursts and listen for them in the decoded packets: a side
through which too few are heard, as it does not carry the sound or is overloaded, gets no row. Delay is that
of the sound, from the first codec to the second and back. Octets of the payloads show with what bit rate each
side codes; to opus/48000/2 rtpengine sends two channels. Without rtpengine (a Debian package) its rows are
left out.

    python bench/peer_codecs.py [pairs [calls [seconds [rounds [BEFORE]]]]]

Pairs are written PCMU-G722,PCMU-opus. BEFORE is a work tree of another commit, which is measured in turn with
the others.
"""

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.bridges import BURST_EVERY, TICK_S, Telephones
from bench.peer_relay import Relay, RtpEngine, Switch, measure

PAIRS = "PCMU-G722,PCMU-opus"
PEER = "rtpengine"
HEARD_SHARE = 0.7
"""Share of the bursts that must be heard; the first and the last one of a round may be cut."""
LONGEST_MS = 500.0


@dataclass(frozen=True)
class Round:
    """What one side did in one round."""

    cost: float
    """Microseconds of CPU per call and 20 ms."""
    came: float
    delays: tuple[float, float]
    """Milliseconds from the first codec to the second, and back."""
    octets: tuple[float, float]
    """Mean octets of a payload to the first telephones, and to the second ones."""


class NotHeardError(Exception):
    """Too few bursts were heard for figures to mean anything."""


def carry(relay: Relay, pair: str, calls: int, seconds: float) -> Round:
    """Measure one side for one round.

    Raises:
        NotHeardError: The sound of one telephone does not reach the other.
    """
    telephones = Telephones(pair, calls)
    cost, came = measure(relay, telephones, seconds)
    sent = seconds / TICK_S / BURST_EVERY
    heard = [[delay for delay in delays if 0 < delay < LONGEST_MS] for delays in telephones.ears.delays]
    if min(map(len, heard)) < HEARD_SHARE * (sent - 1):
        counts = " and ".join(str(len(part)) for part in heard)
        raise NotHeardError(f"{counts} of {sent:.0f} bursts were heard, {came:.0%} of the packets came")
    first, second = (2 * octets / max(telephones.received, 1) for octets in telephones.octets)
    return Round(2 * cost, came, (median(heard[0]), median(heard[1])), (first, second))


def compare(pair: str, calls: int, seconds: float, rounds: int, trees: dict[str, Path]) -> None:
    """Print the rows of one pair."""
    with tempfile.TemporaryDirectory() as folder:
        kinds: dict[str, Callable[[], Relay]] = {
            **{name: partial(Switch, tree, "bridges.py", pair) for name, tree in trees.items()},
            PEER: lambda: RtpEngine(folder, pair),
        }
        found: dict[str, list[Round]] = {name: [] for name in kinds}
        for _ in range(rounds):
            for name, make in list(kinds.items()):
                try:
                    relay = make()
                except FileNotFoundError:
                    print(f"{name} is not installed: no row of it, no ratios", flush=True)
                    del kinds[name]
                    continue
                try:
                    found[name].append(carry(relay, pair, calls, seconds))
                except NotHeardError as error:
                    print(f"{pair:12} {name:11} no row: {error}", flush=True)
                    found[name].clear()
                    del kinds[name]
    peer = [one.cost for one in found[PEER]]
    for name, rows in found.items():
        if not rows:
            continue
        costs = [one.cost for one in rows]
        row = f"{pair:12} {name:11} {median(costs):8.1f} {min(costs):8.1f}"
        row += f" {median(a / b for a, b in zip(costs, peer, strict=True)):6.2f}" if peer else f" {'':6}"
        row += f" {min(one.came for one in rows):8.2%}"
        for way in (0, 1):
            row += f" {median(one.delays[way] for one in rows):7.1f}"
        for way in (0, 1):
            row += f" {median(one.octets[way] for one in rows):7.1f}"
        print(row, flush=True)


def main() -> None:
    """Print a table."""
    pairs = (sys.argv[1] if len(sys.argv) > 1 else PAIRS).split(",")
    calls = int(sys.argv[2]) if len(sys.argv) > 2 else 50
    seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 6.0
    rounds = int(sys.argv[4]) if len(sys.argv) > 4 else 3
    trees = {"softswitch": Path(__file__).resolve().parent.parent}
    if len(sys.argv) > 5:
        trees["before"] = Path(sys.argv[5]).resolve()
    print(
        f"{calls} calls: us of CPU per call and 20 ms, median and least of {rounds} rounds in turn; ratio to"
    )
    print(f"{PEER}, median of the rounds; packets that came, in the worst round; delay in ms from the first")
    print("codec to the second and back; octets of a payload to the first telephone and to the second")
    print(
        f"{'pair':12} {'':11} {'median':>8} {'least':>8} {'ratio':>6} {'came':>8}"
        f" {'there':>7} {'back':>7} {'first':>7} {'second':>7}"
    )
    for pair in pairs:
        compare(pair, calls, seconds, rounds, trees)


if __name__ == "__main__":
    main()
