"""The project file says exactly what the code needs."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from softswitch import __version__
from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


OPTIONAL = ("acme", "mcp", "postgres", "pyvoip", "redis", "s3", "speech", "uvloop")


def plain(name: str) -> str:
    """Return the name of a distribution as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(requirements: list[str]) -> set[str]:
    found = (re.match(r"[A-Za-z0-9._-]+", requirement) for requirement in requirements)
    return {plain(match[0]) for match in found if match}


def imported(root: Path) -> set[str]:
    """Return the top-level modules that the sources below a folder import, or look up by name."""
    found = set()
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Import(names=names):
                    found |= {alias.name.split(".")[0] for alias in names}
                case ast.ImportFrom(module=str(module), level=0):
                    found.add(module.split(".")[0])
                case ast.Call(
                    func=ast.Name(id="find_spec" | "import_module")
                    | ast.Attribute(attr="find_spec" | "import_module"),
                    args=[ast.Constant(value=str(module)), *_],
                ):
                    found.add(module.split(".")[0])
    return found - set(sys.stdlib_module_names) - {"softswitch"}


def test_every_import_is_declared_and_every_declaration_imported():
    needed = declared(PROJECT["dependencies"])
    extras = {name: declared(PROJECT["optional-dependencies"][name]) for name in OPTIONAL}
    known = packages_distributions()
    # OpenTelemetry is one package of several distributions, so its name says of none that it is used.
    names = imported(ROOT / "softswitch") - {"opentelemetry"}
    used = {plain(known[module][0]) for module in names if module in known}
    # audioop-lts is imported by pyVoIP; of moonshine-cpp the files are read, it is never imported.
    assert needed | set().union(*extras.values()) - {"audioop-lts", "moonshine-cpp"} == used


def test_all_is_every_extra_but_the_tests_and_pyvoip_under_gpl():
    extras = set(PROJECT["optional-dependencies"]) - {"all", "pyvoip", "test"}
    (requirement,) = PROJECT["optional-dependencies"]["all"]
    assert requirement == f"softswitch[{','.join(sorted(extras))}]"


def test_every_requirement_has_an_upper_bound():
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    for requirement in (one for group in groups for one in group if not one.startswith("softswitch[")):
        assert re.search(r"<|==", requirement), requirement


def test_changelog_knows_the_version_or_what_comes_next():
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert "## Unreleased" in text or f"## {__version__}" in text


def test_readme_names_the_two_commands():
    text = (ROOT / "README.md").read_text("utf-8")
    assert "make run" in text
    assert "make test" in text


def test_versions_of_python_are_the_same_wherever_they_are_named():
    named = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", PROJECT["requires-python"])
    assert named is not None
    first, last = int(named[1]), int(named[2]) - 1
    assert last >= 14
    classified = {f"Programming Language :: Python :: 3.{minor}" for minor in range(first, last + 1)}
    assert {one for one in PROJECT["classifiers"] if ":: Python :: 3." in one} == classified
    for page in ("README.md", "docs/tutorial/first-call.md"):
        assert f"Python 3.{first} to 3.{last}" in (ROOT / page).read_text("utf-8"), page
    setup = (ROOT / "scripts" / "setup.sh").read_text("utf-8")
    assert f"(3, {first}) <= sys.version_info[:2] <= (3, {last})" in setup
    assert all(f"python3.{minor}" in setup for minor in range(first, last + 1))


def test_build_server_runs_the_command_of_the_readme():
    text = (ROOT / ".ci" / "run").read_text("utf-8")
    assert "make test" in text
    assert "CI=true" in text
