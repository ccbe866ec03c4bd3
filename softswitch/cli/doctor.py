"""Tell what works on this machine and what does not: one line each, with what to do about it.

The exit code is 1 if anything fails; a warning is none.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Iterator

from softswitch.cli.checks import codecs, host, network, relays, speech, trunks
from softswitch.cli.checks.finding import Finding, Verdict, fail
from softswitch.cli.options import add_settings, load_settings
from softswitch.settings import Settings

Check = Callable[[Settings], list[Finding]]

CHECKS: tuple[Check, ...] = (
    host.check,
    network.check,
    lambda _: codecs.check(),
    relays.check,
    trunks.check,
    speech.check,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the settings: the doctor looks at the switch that they would start."""
    add_settings(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print every finding and a summary."""
    settings = load_settings(arguments)
    counts: Counter[Verdict] = Counter()
    for finding in examine(settings):
        counts[finding.verdict] += 1
        print(finding.line(), flush=True)
    print(f"\n{counts[Verdict.OK]} ok, {counts[Verdict.WARN]} warnings, {counts[Verdict.FAIL]} failures")
    return 1 if counts[Verdict.FAIL] else 0


def examine(settings: Settings, checks: tuple[Check, ...] = CHECKS) -> Iterator[Finding]:
    """Yield every finding; a check that breaks is a finding too, and stops no other."""
    for check in checks:
        try:
            yield from check(settings)
        except Exception as error:  # noqa: BLE001  (a doctor who faints helps nobody; what broke is told)
            name = getattr(check, "__module__", "").rpartition(".")[2]
            yield fail(
                name, f"{type(error).__name__}: {error}", "this is a defect of softswitch: please report it"
            )
