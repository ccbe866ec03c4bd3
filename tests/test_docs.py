"""Links of the documents lead somewhere; their JSON, settings, Python and shell can be read."""

import ast
import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from scripts.check_words import find
from softswitch.settings import load
from tests.conftest import ROOT

PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
)
DECIDED = ROOT / "docs" / "adr"
"""Records of decisions are not rewritten: their words are left as they were."""

OF_THE_READER = frozenset({"bot.py"})
"""Files that a page asks the reader to write."""


def names(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(language: str) -> Sequence[object]:
    """Return the fenced blocks of all pages in a language."""
    found = []
    for page in PAGES:
        text = page.read_text("utf-8")
        for number, match in enumerate(re.finditer(r"(?ms)^```(\w+)\n(.*?)^```$", text), 1):
            if match[1] == language:
                found.append(pytest.param(match[2], id=f"{names(page)}-{number}"))
    return found


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"(?ms)^```.*?^```$", "", page.read_text("utf-8"))
    found: dict[str, int] = {}
    result = set()
    for heading in re.findall(r"(?m)^#+ (.*)$", text):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        count = found[slug] = found.get(slug, -1) + 1
        result.add(f"{slug}-{count}" if count else slug)
    return result


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_links_lead_somewhere(page):
    text = re.sub(r"(?ms)^```.*?^```$|`[^`\n]*`", "", page.read_text("utf-8"))
    links = re.findall(r"\]\(([^)\s]+)\)|src(?:set)?=\"([^\"]+)\"", text)
    for link in (one or other for one, other in links):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        file = (page.parent / target) if target else page
        assert file.exists(), link
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file), link


@pytest.mark.parametrize(
    "page", [page for page in PAGES if DECIDED not in page.parents and page.name != "CHANGELOG.md"], ids=names
)
def test_files_of_the_code_that_a_page_names_exist(page):
    text = re.sub(r"(?ms)^```.*?^```$", "", page.read_text("utf-8"))
    for path in re.findall(r"`([\w.-]+(?:/[\w.-]+)+\.py)`", text):
        if "NAME" in path or path in OF_THE_READER:
            continue
        assert (ROOT / path).exists() or (ROOT / "softswitch" / path).exists(), path


@pytest.mark.parametrize("text", blocks("json"))
def test_json_can_be_read(text):
    try:
        json.loads(text)
    except json.JSONDecodeError:
        for line in filter(None, text.splitlines()):
            json.loads(line)


@pytest.mark.parametrize("text", blocks("toml"))
def test_settings_are_taken_by_the_switch(text, tmp_path):
    if text.startswith(("# pyproject.toml", "# sales.toml")):
        pytest.skip("not settings")
    file = tmp_path / "softswitch.toml"
    file.write_text(text, "utf-8")
    load(file, {"SOFTSWITCH_AUTH_API_KEYS": "test:a-key-of-this-test"} if "api_keys" not in text else {})


@pytest.mark.parametrize("text", blocks("python"))
def test_python_can_be_compiled(text):
    compile(text, "example", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize("text", blocks("sh"))
def test_shell_can_be_parsed(text):
    shell = shutil.which("sh")
    assert shell is not None
    subprocess.run([shell, "-n"], input=text, text=True, check=True)


@pytest.mark.parametrize("page", [page for page in PAGES if DECIDED not in page.parents], ids=names)
def test_vocabulary_is_that_of_the_glossary(page):
    if page.name != "glossary.md":
        assert not list(find(page.read_text("utf-8"), code=False))
