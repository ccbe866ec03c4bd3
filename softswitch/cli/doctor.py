"""Check what works on this machine; print one line per finding, with advice.

The exit code is 1 if a check fails; warnings do not count.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Iterator

from softswitch.cli.checks import codecs, host, network, relays, running, speech, trunks
from softswitch.cli.checks.finding import Finding, Verdict, fail
from softswitch.cli.options import add_settings, load_settings
from softswitch.settings import Settings

Check = Callable[[Settings], list[Finding]]

CHECKS: tuple[Check, ...] = (
    host.check,
    network.check,
    running.check,
    lambda _: codecs.check(),
    relays.check,
    trunks.check,
    speech.check,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the settings that are checked."""
    add_settings(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print all findings and a summary; return the exit code."""
    settings = load_settings(arguments)
    counts: Counter[Verdict] = Counter()
    for finding in examine(settings):
        counts[finding.verdict] += 1
        print(finding.line(), flush=True)
    print(f"\n{counts[Verdict.OK]} ok, {counts[Verdict.WARN]} warnings, {counts[Verdict.FAIL]} failures")
    return 1 if counts[Verdict.FAIL] else 0


def examine(settings: Settings, checks: tuple[Check, ...] = CHECKS) -> Iterator[Finding]:
    """Yield all findings; an exception in a check becomes a finding and does not stop the others."""
    for check in checks:
        try:
            yield from check(settings)
        except Exception as error:  # noqa: BLE001  (the finding reports it)
            name = getattr(check, "__module__", "").rpartition(".")[2]
            yield fail(
                name, f"{type(error).__name__}: {error}", "this is a fault of softswitch: please report it"
            )
