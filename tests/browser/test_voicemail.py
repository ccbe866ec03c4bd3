"""The list of messages beside the recordings: played, marked, deleted."""

from typing import Any

import pytest
from playwright.async_api import Browser, expect

from tests.browser.conftest import open_page
from tests.browser.fake_switch import FakeSwitch
from tests.browser.test_accessibility import serious
from tests.browser.test_page import stereo_wav

pytestmark = [pytest.mark.client, pytest.mark.asyncio(loop_scope="package")]

MESSAGE: dict[str, Any] = {
    "id": "m",
    "user": "alice",
    "caller": "+4930123",
    "account": "",
    "createdAt": "2030-01-02T03:04:05Z",
    "durationMs": 4000,
    "heard": False,
}


async def test_message_is_played_marked_and_deleted(browser: Browser, fake: FakeSwitch, url: str) -> None:
    fake.voicemail.append(dict(MESSAGE))
    fake.recordings["m"] = stereo_wav()
    async with open_page(browser, f"{url}#recordings") as page:
        await expect(page.locator("#voicemail strong")).to_have_text("+4930123 → alice")
        await expect(page.locator("#voicemail-count")).to_have_text("1")
        await page.locator("#voicemail .round").press("Enter")
        await expect(page.locator("#voicemail .tag")).to_have_text("Heard")
        await expect(page.locator("#voicemail-count")).to_have_text("")
        await expect(page.locator("#voicemail-audio")).to_be_visible()
        assert await serious(page) == []
        await page.get_by_role("button", name="Mark as new +4930123 → alice").click()
        await expect(page.locator("#voicemail .tag")).to_have_text("New")
        await page.get_by_role("button", name="Delete +4930123 → alice").click()
        await page.get_by_role("button", name="Delete it? +4930123 → alice").click()
        await expect(page.locator("#voicemail-empty")).to_be_visible()
        assert fake.voicemail == []
