"""The overview's list of calls to supervise: its buttons, levels and texts."""

from typing import Any

import pytest
from playwright.async_api import Browser, expect

from tests.browser.conftest import open_page
from tests.browser.fake_switch import FakeSwitch
from tests.browser.listen import until
from tests.browser.test_accessibility import serious

pytestmark = [pytest.mark.client, pytest.mark.asyncio(loop_scope="package")]

CALL: dict[str, Any] = {
    "id": "x",
    "caller": "+4930123",
    "callee": "alice",
    "durationMs": 61_000,
    "direction": "inbound",
    "user": "",
    "trunk": "carrier",
    "supervisors": [],
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_call_is_supervised_from_the_overview(
    browser: Browser, fake: FakeSwitch, url: str, scheme: str
) -> None:
    fake.supervised.append(CALL)
    async with open_page(browser, url, color_scheme=scheme) as page:
        await page.get_by_text("WebSocket", exact=True).click()
        await page.click("#tab-overview")
        await expect(page.locator("#supervise-calls strong")).to_have_text("+4930123 → alice")
        await expect(page.locator("#supervise-calls .fine")).to_have_text("01:01")
        await page.get_by_role("button", name="Whisper +4930123 → alice").press("Enter")
        await until(page, "softswitch.session.state === 'connected'")
        (call,) = fake.calls.values()
        assert call.option["callee"] == "supervise:x"
        told = {"targetSessionId": "x"}
        await call.emit("supervision", state="started", mode="listen", **told)
        await call.emit("supervision", state="changed", mode="whisper", **told)
        await expect(page.locator("#supervise-line")).to_have_text("Only the agent hears you")
        assert call.commands[-1] == {"command": "supervise", "mode": "whisper", "transcript": True}
        await call.emit("levels", first=-20, second=-40, **told)
        for index, text, final in ((0, "one", False), (0, "one moment", True), (1, "and", False)):
            await call.emit("overheard", side="second", index=index, text=text, final=final, **told)
        await expect(page.locator("#supervise-words .words")).to_have_text(["one moment", "and"])
        await expect(page.locator("#supervise-line")).to_have_text("Only the agent hears you")
        await expect(page.locator("#supervise-first")).to_have_js_property("value", -20)
        pressed = page.locator("#supervise-calls [aria-pressed=true]")
        await expect(pressed).to_contain_text("Whisper")
        assert await serious(page) == []
        await page.get_by_role("button", name="Join +4930123 → alice").click()
        await until(page, "document.activeElement.dataset.supervise === 'join x'")
        assert call.commands[-1] == {"command": "supervise", "mode": "join", "transcript": True}
        await page.click("#supervise-stop")
        await call.emit("supervision", state="ended", mode="join", **told)
        await expect(page.locator("#supervise-now")).to_be_hidden()
        assert call.commands[-1] == {"command": "supervise", "mode": "stop"}
        await expect(pressed).to_have_count(0)


async def test_narrow_page_has_all_buttons(browser: Browser, fake: FakeSwitch, url: str) -> None:
    fake.supervised.append(CALL | {"supervisors": [{"id": "b", "mode": "listen"}]})
    async with open_page(browser, url, viewport={"width": 360, "height": 740}, locale="de-DE") as page:
        await page.click("#tab-overview")
        await expect(page.locator("#supervise-calls button")).to_have_count(4)
        await expect(page.locator("#supervise-calls .fine")).to_contain_text("1 hören mit")
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360
