"""Figures of a cluster that no machine here can show, from measured costs: the formulas of docs/scaling.md.

`python scripts/simulate_cluster.py` prints the figures of 100 000 calls on 200 nodes; `--check` runs the same
events through the table of the bus, for a hundredth of the size, and compares the counts with the formulas.
"""

import argparse
import random
import sys
from dataclasses import dataclass

from softswitch.bus.bus import Entry
from softswitch.bus.table import Table


@dataclass(frozen=True)
class Costs:
    """Measured costs and assumptions."""

    call_entry: int = 333
    """Octets of Redis for the entry of a call: key, its hash field and the key that names its node."""
    dialog_entry: int = 646
    """Octets of Redis for what ends one SIP dialog."""
    registration_bytes: int = 260
    """Octets of a registration in each node."""
    registration_ms: float = 0.55
    """Processor time of a REGISTER with its challenge at the node that answers it, in milliseconds."""
    learn_ms: float = 0.05
    """Processor time of learning a registration of another node, in milliseconds."""
    redis_operations: float = 80_000.0
    """Operations per second that one Redis carries."""


@dataclass(frozen=True)
class Load:
    """A cluster and its load."""

    nodes: int = 200
    calls: int = 100_000
    """Simultaneous calls."""
    duration_s: float = 180.0
    dialogs: float = 2.0
    """SIP dialogs of a call."""
    phones: int = 500_000
    expires_s: float = 3600.0
    rounds_s: float = 0.25
    """Period in which a node tells its counts, where they have changed."""
    ttl_s: float = 6.0
    commands: float = 0.05
    """Commands per call and second that come to another node than the call's."""


def figures(load: Load, costs: Costs) -> dict[str, float]:
    """Return the figures of a load by name."""
    setups = load.calls / load.duration_s
    # An entry is put and deleted; a dialog is put when it is early, when it is confirmed, and deleted.
    entries = setups * (2 + load.dialogs * 3)
    life = load.nodes * 3 * 4 / load.ttl_s
    lookups = load.calls * load.commands
    registrations = load.phones / (load.expires_s * 0.9)
    published = registrations + min(load.nodes / load.rounds_s, 2 * setups)
    redis_bytes = load.calls * (costs.call_entry + load.dialogs * costs.dialog_entry)
    storm_node = load.phones / load.nodes * costs.registration_ms + load.phones * costs.learn_ms
    return {
        "calls set up per second": setups,
        "directory entries": load.calls * (1 + load.dialogs) + load.nodes,
        "Redis memory for entries, MB": redis_bytes / 1e6,
        "bus operations per second": entries + life + lookups,
        "messages published per second": published,
        "messages delivered per second": published * (load.nodes - 1),
        "share of one Redis, operations": (entries + life + lookups + published) / costs.redis_operations,
        "registrations per second": registrations,
        "memory of registrations in each node, MB": load.phones * costs.registration_bytes / 1e6,
        "registration storm: processor seconds of each node": storm_node / 1000,
    }


def check(nodes: int, calls: int, seed: int) -> dict[str, tuple[float, float]]:
    """Run calls of a small cluster through the table; return counted and computed figures by name."""
    load, choose = Load(nodes=nodes, calls=calls), random.Random(seed)  # noqa: S311 - no secret
    table, operations, ended = Table(), 0, 0
    names = [f"host-{number}.1" for number in range(nodes)]
    live: list[tuple[float, str, str]] = []
    step = load.duration_s / calls
    for number in range(calls * 3):
        now = number * step
        while live and live[0][0] <= now:
            _, node, key = live.pop(0)
            for name in (f"call:{key}", f"dialog:{key}:a", f"dialog:{key}:b"):
                table.delete(name, node)
                operations += 1
            ended += 1
        node, key = choose.choice(names), str(number)
        table.put(Entry(f"call:{key}", b"", node))
        for leg in "ab":
            table.put(Entry(f"dialog:{key}:{leg}", b"", node))
            table.put(Entry(f"dialog:{key}:{leg}", b"confirmed", node))
        operations += 5
        live.append((now + load.duration_s, node, key))
    elapsed = calls * 3 * step
    computed = figures(load, Costs())
    setups = computed["calls set up per second"]
    expected = setups * (5 * elapsed + 3 * (elapsed - load.duration_s)) / elapsed
    return {
        "directory entries": (len(table), computed["directory entries"] - nodes),
        "operations for entries per second": (operations / elapsed, expected),
        "calls ended": (ended, calls * 2),
    }


def main() -> int:
    """Print the figures; return 1 where a check fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=Load.nodes)
    parser.add_argument("--calls", type=int, default=Load.calls)
    parser.add_argument("--phones", type=int, default=Load.phones)
    parser.add_argument("--check", action="store_true", help="compare the formulas with counted events")
    given = parser.parse_args()
    load = Load(nodes=given.nodes, calls=given.calls, phones=given.phones)
    for name, value in figures(load, Costs()).items():
        print(f"{name:<52} {value:>14,.2f}")
    if not given.check:
        return 0
    wrong = False
    for name, (counted, computed) in check(
        max(2, given.nodes // 100), max(100, given.calls // 100), 1
    ).items():
        print(f"check: {name:<45} counted {counted:,.2f}, computed {computed:,.2f}")
        wrong |= abs(counted - computed) > 0.02 * max(computed, 1)
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
