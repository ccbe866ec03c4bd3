"""The phones view: dialling, calls that ring here, trunks and extensions, and the transfer of a call."""

import asyncio

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import open_page
from tests.browser.fake_switch import FakeSwitch
from tests.browser.listen import call_from, until
from tests.browser.test_accessibility import serious
from tests.browser.test_page import only_call

pytestmark = [pytest.mark.client, pytest.mark.asyncio(loop_scope="package")]

TRUNK = {
    "name": "provider",
    "engine": "builtin",
    "state": "registered",
    "code": 200,
    "reason": "OK",
    "server": "udp:192.0.2.1:5060",
    "expires_s": 600,
    "retry_s": 0,
    "calls": 2,
    "max_calls": 0,
    "calls_refused": 0,
}
USER = {
    "name": "alice",
    "registered": True,
    "contacts": [
        {
            "uri": "sip:alice@192.0.2.7",
            "transport": "udp",
            "address": "192.0.2.7:5060",
            "expires_s": 60,
            "user_agent": "baresip",
        }
    ],
}
CALLER = {
    "id": "c1",
    "call_type": "sip",
    "created_at": "2030-01-02T03:04:05Z",
    "option": {},
    "state": "pending",
    "caller": "ann",
    "callee": "100",
}


async def dial(page: Page, number: str, talker: str) -> None:
    """Fill the form and press Dial."""
    await page.click("#tab-phones")
    await page.fill("#dial [name=number]", number)
    await page.locator("#talkers").get_by_text(talker, exact=True).click()
    await page.click("#dial-call")


async def test_states_of_trunks_and_extensions_are_shown(
    browser: Browser, fake: FakeSwitch, url: str
) -> None:
    fake.trunks += [TRUNK, TRUNK | {"name": "old", "state": "failed", "code": 403, "reason": "Forbidden"}]
    fake.users += [USER, {"name": "bob", "registered": False, "contacts": []}]
    async with open_page(browser, f"{url}#phones") as page:
        await expect(page.locator("#view-phones #trunks li")).to_contain_text(["Registered", "Failed"])
        await expect(page.locator("#view-phones #trunks li").nth(1)).to_contain_text("403 · Forbidden")
        await expect(page.locator("#users li")).to_contain_text(["udp 192.0.2.7:5060", "Away"])


async def test_browser_is_joined_with_the_telephone_it_dials(
    browser: Browser, fake: FakeSwitch, url: str
) -> None:
    async with open_page(browser, url) as page:
        await dial(page, "600", "This browser")
        await expect(page.locator("#dial-line")).to_have_text("600 has answered", timeout=15_000)
        (refer,) = [one for one in only_call(fake).commands if one["command"] == "refer"]
        assert refer["callee"] == "600"
        await page.click("#dial-hangup")
        await expect(page.locator("#dial-line")).to_have_text("You hung up")


async def test_refusal_of_a_telephone_is_told_and_ends_the_call(browser: Browser, url: str) -> None:
    async with open_page(browser, url) as page:
        await dial(page, "busy", "This browser")
        await expect(page.locator("#connection")).to_have_text("Failed", timeout=15_000)
        await expect(page.locator("#dial-line")).to_contain_text("Busy Here")


async def test_switch_talks_with_a_telephone_and_the_page_reads_along(
    browser: Browser, fake: FakeSwitch, url: str
) -> None:
    async with open_page(browser, url) as page:
        await dial(page, "600", "The switch")
        await expect(page.locator("#dial-line")).to_have_text("600 has answered", timeout=15_000)
        call = only_call(fake)
        assert call.telephone
        assert call.option["callee"] == "600"
        await page.click("#tab-talk")
        await until(page, "softswitch.session.state === 'connected'")
        await page.keyboard.press("5")
        while not any(one["command"] == "dtmf" for one in call.commands):
            await asyncio.sleep(0.02)
        await expect(page.locator("#transcript")).to_contain_text("This is your switch speaking")
        await page.click("#hangup")


async def test_caller_is_answered_here_or_rejected(browser: Browser, fake: FakeSwitch, url: str) -> None:
    fake.pending["c1"] = CALLER
    fake.pending["c2"] = CALLER | {"id": "c2", "caller": "ben"}
    async with open_page(browser, f"{url}#phones") as page:
        await expect(page.locator("#waiting li")).to_have_count(2)
        await page.get_by_role("button", name="Reject ben").click()
        await page.get_by_role("button", name="Reject? ben").click()
        await expect(page.locator("#waiting li")).to_have_count(1)
        assert [one["id"] for one in fake.told] == ["c2"]
        await page.get_by_role("button", name="Answer ann", exact=True).click()
        await until(page, "softswitch.session.state === 'connected'")
        own = await page.evaluate("softswitch.session.id")
        while not any(one.get("targetSessionId") == "c1" for one in fake.calls[own].commands):
            await asyncio.sleep(0.02)
        assert fake.calls["c1"].commands[0]["command"] == "accept"
        await page.click("#dial-hangup")
        await expect(page.locator("#connection")).to_have_text("Disconnected")
        while "c1" in fake.calls:
            await asyncio.sleep(0.02)


async def test_switch_takes_a_caller_for_the_page(browser: Browser, fake: FakeSwitch, url: str) -> None:
    fake.pending["c1"] = CALLER
    async with open_page(browser, f"{url}#phones") as page:
        await page.get_by_role("button", name="Let the switch answer ann").click()
        await until(page, "softswitch.session.state === 'connected'")
        assert fake.calls["c1"].commands[0]["command"] == "accept"
        await page.click("#dial-hangup")


async def test_call_is_transferred_and_a_refusal_leaves_it_up(
    browser: Browser, fake: FakeSwitch, url: str
) -> None:
    async with open_page(browser, url) as page:
        await call_from(page, "WebSocket")
        for callee in ("busy", "600"):
            await page.click("#transfer")
            await page.fill("#transfer-callee", callee)
            await page.get_by_role("button", name="Ring them").click()
        call = only_call(fake)
        while len([one for one in call.commands if one["command"] == "refer"]) < 2:
            await asyncio.sleep(0.02)
        await expect(page.locator("#connection")).to_have_text("Connected")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_phones_view_is_accessible(browser: Browser, fake: FakeSwitch, url: str, scheme: str) -> None:
    fake.trunks += [TRUNK, TRUNK | {"name": "old", "state": "failed"}, TRUNK | {"state": "registering"}]
    fake.users.append(USER)
    fake.pending["c1"] = CALLER
    async with open_page(browser, f"{url}#phones", color_scheme=scheme) as page:
        await expect(page.locator("#waiting li")).to_have_count(1)
        assert await serious(page) == []
