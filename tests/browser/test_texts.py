"""Every text of the page is there in German and in Chinese, and no text is kept that is not shown."""

import json
import re

import pytest
from playwright.async_api import Browser, expect

from tests.browser.conftest import open_page
from tests.browser.page_texts import STATIC, texts_of_html, texts_of_module

SPOKEN_ALOUD = {"call/receptionist.js", "view/voices.js"}
"""Modules whose sentences the switch speaks: they stay in the language of the voice."""
LINE = re.compile(r'^  ("(?:[^"\\]|\\.)*"): (\[.*\]),$')
MODULES = sorted((STATIC / "js").rglob("*.js"))
FOR_THE_SESSION = {"call/session.js", "call/sound.js"}
"""Modules whose sentences are partly made with values: their plain ones are in the table."""


@pytest.fixture(scope="module")
def table() -> dict[str, list[str]]:
    lines = (STATIC / "js" / "texts.js").read_text("utf-8").splitlines()
    return {json.loads(m[1]): json.loads(m[2]) for m in map(LINE.match, lines) if m}


@pytest.fixture(scope="module")
def texts() -> set[str]:
    found = texts_of_html(STATIC / "index.html") | texts_of_html(STATIC / "embed.html")
    for module in MODULES:
        name = module.relative_to(STATIC / "js").as_posix()
        if name not in SPOKEN_ALOUD | {"texts.js"}:
            found |= set(texts_of_module(module))
    return found


def test_every_text_is_in_every_language(table: dict[str, list[str]], texts: set[str]) -> None:
    assert len(texts) > 400
    assert sorted(texts - table.keys() - NO_WORDS) == []
    for english, others in table.items():
        assert len(others) == 2, english
        assert all(others), english


def test_values_of_a_text_are_in_every_language(table: dict[str, list[str]]) -> None:
    for english, others in table.items():
        for other in others:
            assert sorted(re.findall(r"{\w+}", other)) == sorted(re.findall(r"{\w+}", english)), other


def test_every_text_of_the_table_is_shown(table: dict[str, list[str]], texts: set[str]) -> None:
    code = "".join(module.read_text("utf-8") for module in MODULES if module.name != "texts.js")
    assert [
        text for text in table if text not in texts and json.dumps(text, ensure_ascii=False) not in code
    ] == []


NO_WORDS = {"+49 30 123456, 600, sip:ann@example.org", "https://…/music.mp3"}
"""Examples of numbers and addresses."""


@pytest.mark.parametrize("page", ["index.html", "embed.html"])
def test_ids_of_a_page_are_unique(page: str) -> None:
    found = re.findall(r'\bid="([^"]+)"', (STATIC / page).read_text("utf-8"))
    assert sorted(found) == sorted(set(found))


@pytest.mark.client
@pytest.mark.asyncio(loop_scope="package")
@pytest.mark.parametrize(
    ("locale", "language", "call"),
    [("de-AT", "de", "Anrufen"), ("zh-CN", "zh", "呼叫"), ("fr-FR", "en", "Call")],
)
async def test_page_speaks_the_language_of_the_browser(
    browser: Browser, url: str, locale: str, language: str, call: str
) -> None:
    async with open_page(browser, url, locale=locale, viewport={"width": 390, "height": 800}) as page:
        await expect(page.locator("#call")).to_have_text(call)
        assert await page.evaluate("document.documentElement.lang") == language
        for view in ("talk", "overview", "phones", "rooms", "calls", "recordings", "admin"):
            await page.click(f"#tab-{view}")
            assert await page.evaluate("document.documentElement.scrollWidth") <= 390, view
