"""Findings of the doctor, with advice."""

from enum import StrEnum

import msgspec


class Verdict(StrEnum):
    """Severity of a finding."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Finding(msgspec.Struct, frozen=True):
    """A line of the doctor's report."""

    what: str
    """Subject of the check, in one or two words."""
    verdict: Verdict
    """`fail`: the switch does not start or a feature is missing; `warn`: it could be better."""
    text: str
    """Result of the check."""
    advice: str = ""
    """What the operator should do, "" for nothing."""

    def line(self) -> str:
        """Return the finding as one line for a terminal."""
        advice = f" -> {self.advice}" if self.advice else ""
        return f"{self.verdict:<5} {self.what:<18} {self.text}{advice}"


def ok(what: str, text: str) -> Finding:
    """Return a finding without a problem."""
    return Finding(what, Verdict.OK, text)


def warn(what: str, text: str, advice: str) -> Finding:
    """Return a finding that could be improved."""
    return Finding(what, Verdict.WARN, text, advice)


def fail(what: str, text: str, advice: str) -> Finding:
    """Return a finding that has to be fixed."""
    return Finding(what, Verdict.FAIL, text, advice)
