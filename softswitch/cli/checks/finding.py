"""Say what was found, and what to do about it."""

from enum import StrEnum

import msgspec


class Verdict(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Finding(msgspec.Struct, frozen=True):
    """One line of the doctor's report."""

    what: str
    """What was looked at, in one or two words."""
    verdict: Verdict
    """`fail`: the switch does not start or a feature is missing; `warn`: it could be better."""
    text: str
    """What was found."""
    advice: str = ""
    """What to do; empty where nothing is to be done."""

    def line(self) -> str:
        """Return it as one line for a terminal."""
        advice = f" -> {self.advice}" if self.advice else ""
        return f"{self.verdict:<5} {self.what:<18} {self.text}{advice}"


def ok(what: str, text: str) -> Finding:
    """Return a finding that is as it should be."""
    return Finding(what, Verdict.OK, text)


def warn(what: str, text: str, advice: str) -> Finding:
    """Return a finding that could be better."""
    return Finding(what, Verdict.WARN, text, advice)


def fail(what: str, text: str, advice: str) -> Finding:
    """Return a finding that must be mended."""
    return Finding(what, Verdict.FAIL, text, advice)
