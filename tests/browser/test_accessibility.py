"""axe-core over every view, in both themes: nothing serious may be found."""

from typing import Any

import pytest
from playwright.async_api import Browser, Page

from tests.browser.conftest import open_page
from tests.browser.fake_switch import FakeSwitch
from tests.browser.listen import call_from
from tests.browser.test_page import only_call

pytestmark = [pytest.mark.client, pytest.mark.asyncio(loop_scope="package")]


async def serious(page: Page) -> list[str]:
    """Return what axe-core finds of serious or critical impact, with the elements."""
    axe = pytest.importorskip("axe_playwright_python.async_playwright").Axe()
    # The page's policy forbids scripts of others, axe included: it goes in by the debugger, past the policy.
    found: dict[str, Any] = (await axe.run(page)).response
    return [
        f"{rule['id']}: {node['html']} ({node['failureSummary']})"
        for rule in found["violations"]
        if rule["impact"] in {"serious", "critical"}
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_talk_view_is_accessible_before_and_in_a_call(
    browser: Browser, fake: FakeSwitch, url: str, scheme: str
) -> None:
    async with open_page(browser, url, color_scheme=scheme) as page:
        await page.click("#setup details:last-of-type summary")
        assert await serious(page) == []
        await call_from(page, "WebSocket")
        call = only_call(fake)
        await call.emit("asrDelta", index=9, startTime=1, endTime=2, text="a guess")
        await call.emit("error", sender="tts", error="no such voice")
        await call.emit("interruption", playId="greeting", position=3)
        await page.keyboard.press("5")
        assert await serious(page) == []
        for tab in ("network", "log"):
            await page.click(f"#tab-{tab}")
            assert await serious(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_other_views_and_the_dialog_are_accessible(
    browser: Browser, fake: FakeSwitch, url: str, scheme: str
) -> None:
    fake.recordings["one.wav"] = b"RIFF"
    fake.past.append(
        {
            "id": "x",
            "type": "webrtc",
            "caller": "a",
            "callee": "b",
            "createdAt": "2030-01-02T03:04:05Z",
            "durationMs": 61000,
            "recording": "one.wav",
        }
    )
    async with open_page(browser, url, color_scheme=scheme) as page:
        await call_from(page, "WebSocket")
        for tab in ("calls", "recordings"):
            await page.click(f"#tab-{tab}")
            await page.wait_for_selector(f"#view-{tab} .rows li")
            assert await serious(page) == []
        await page.click("#key-open")
        assert await serious(page) == []


async def test_page_about_the_element_is_accessible(browser: Browser, url: str) -> None:
    async with open_page(browser, f"{url}static/embed.html") as page:
        assert await serious(page) == []


async def test_phone_layout_is_accessible(browser: Browser, url: str) -> None:
    async with open_page(browser, url, viewport={"width": 390, "height": 844}) as page:
        assert await serious(page) == []
