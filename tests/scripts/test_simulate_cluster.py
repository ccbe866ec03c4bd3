"""The formulas of the page on scaling: they agree with counted events, and the page has their figures."""

import subprocess
import sys

from scripts.simulate_cluster import Costs, Load, check, figures
from tests.conftest import ROOT


def test_formulas_agree_with_counted_events():
    for name, (counted, computed) in check(4, 500, seed=7).items():
        assert abs(counted - computed) <= 0.02 * max(computed, 1), name


def test_figures_grow_with_the_load():
    small, large = figures(Load(calls=10_000), Costs()), figures(Load(), Costs())
    assert large["directory entries"] > 9 * small["directory entries"]
    assert large["bus operations per second"] > small["bus operations per second"]


def test_the_page_has_the_figures_of_the_script():
    text = (ROOT / "docs" / "scaling.md").read_text("utf-8")
    for name, value in figures(Load(), Costs()).items():
        assert f"| {name} | {value:,.2f} |" in text, f"{name}: {value:,.2f}"


def test_the_script_runs_and_checks_itself():
    done = subprocess.run(
        [sys.executable, "scripts/simulate_cluster.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "directory entries" in done.stdout
