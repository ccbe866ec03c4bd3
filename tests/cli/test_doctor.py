from softswitch import cli
from softswitch.cli import doctor
from softswitch.cli.checks.finding import Finding, Verdict, ok, warn
from softswitch.settings import Settings


def test_doctor_prints_a_line_for_each_finding_and_ends_well(capsys, monkeypatch):
    monkeypatch.setattr(doctor, "examine", lambda _: iter([ok("page", "there"), warn("x", "y", "do z")]))
    assert cli.main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "ok    page               there",
        "warn  x                  y -> do z",
        "",
        "1 ok, 1 warnings, 0 failures",
    ]


def test_doctor_ends_with_1_when_something_fails(monkeypatch):
    monkeypatch.setattr(doctor, "examine", lambda _: iter([Finding("x", Verdict.FAIL, "broken")]))
    assert cli.main(["doctor"]) == 1


def test_check_that_breaks_is_a_finding_and_stops_no_other():
    def broken(_: Settings) -> list[Finding]:
        raise RuntimeError("fainted")

    found = list(doctor.examine(Settings(), (broken, lambda _: [ok("next", "fine")])))
    assert [finding.verdict for finding in found] == [Verdict.FAIL, Verdict.OK]
    assert "fainted" in found[0].text


def test_doctor_finds_no_failure_here():
    verdicts = {finding.verdict for finding in doctor.examine(Settings())}
    assert Verdict.FAIL not in verdicts
