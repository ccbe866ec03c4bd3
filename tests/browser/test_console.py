"""The views of an operator: administration, history, one call, overview, and the first visit."""

import json
import re
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import open_page
from tests.browser.fake_administration import NEW_KEY
from tests.browser.fake_switch import FakeSwitch
from tests.browser.listen import call_from, until
from tests.browser.test_accessibility import serious
from tests.browser.test_page import only_call, stereo_wav

pytestmark = [pytest.mark.client, pytest.mark.asyncio(loop_scope="package")]

BEGAN = 1_893_553_445_000
"""2030-01-02T03:04:05Z in milliseconds."""
RECORD = {
    "id": "x",
    "type": "sip",
    "caller": "+4930123",
    "callee": "alice",
    "createdAt": "2030-01-02T03:04:05Z",
    "answeredAt": "2030-01-02T03:04:05Z",
    "durationMs": 2000,
    "reason": "caller",
    "recording": "x.wav",
    "trunk": "carrier",
    "statistics": {"party": {"jitter_ms": 4.2, "lost": 3.0}},
}
LINES: list[dict[str, Any]] = [
    {"at": BEGAN, "event": {"event": "answer"}},
    {"at": BEGAN + 10, "command": {"command": "tts", "text": "Good day.", "playId": "a"}},
    {"at": BEGAN + 100, "event": {"event": "trackStart", "playId": "a"}},
    {"at": BEGAN + 900, "event": {"event": "trackEnd", "playId": "a", "duration": 800}},
    {"at": BEGAN + 1100, "event": {"event": "speaking", "startTime": BEGAN + 1000}},
    {"at": BEGAN + 1600, "event": {"event": "silence"}},
    {"at": BEGAN + 1700, "event": {"event": "asrFinal", "text": "hello", "startTime": BEGAN + 1000}},
    {"at": BEGAN + 2000, "event": {"event": "hangup", "reason": "caller"}},
]


QUALITY = {
    "leg": "party",
    "step_s": 5,
    "codecs": [{"at": BEGAN, "value": "opus"}],
    "paths": [{"at": BEGAN, "value": "host 192.0.2.9:20000 - srflx 198.51.100.4:40000"}],
    "at": [BEGAN + 5000 * step for step in range(24)],
    "mos": [4.3, 4.3, 4.2, 3.4, 2.9, 4.0] * 4,
    "loss_percent": [0, 0.2, 1, 6, 12, 2] * 4,
    "far_loss_percent": [0] * 24,
    "jitter_ms": [3, 4, 9, 32, 41, 12] * 4,
    "delay_ms": [38, 38, 44, 80, 96, 60] * 4,
    "round_trip_ms": [0, 48, 51, 60, 47, 49] * 4,
}
"""Quality of a leg over two minutes."""


TRUNK_QUALITY = {
    "name": "carrier",
    "mos": 3.1,
    "loss_percent": 6.2,
    "far_loss_percent": 0.5,
    "jitter_ms": 24.0,
    "round_trip_ms": 81.0,
    "intervals": 12,
}


def sip(
    at: int, sent: bool, line: str, cseq: str, remote: str = "192.0.2.1:5060", sdp: str = ""
) -> dict[str, Any]:
    """Return a SIP message as the switch shows it."""
    kind = "Content-Type: application/sdp\r\n" if sdp else ""
    text = f"{line}\r\nCall-ID: x\r\nCSeq: 1 {cseq}\r\n{kind}\r\n{sdp}"
    return {"at": BEGAN + at, "sent": sent, "transport": "udp", "remote": remote, "local": "", "text": text}


TRACE = [
    sip(0, False, "INVITE sip:alice@example.org SIP/2.0", "INVITE", sdp="v=0"),
    sip(2, True, "SIP/2.0 100 Trying", "INVITE"),
    sip(9, True, "INVITE sip:alice@192.0.2.7 SIP/2.0", "INVITE", "192.0.2.7:5070", "v=0"),
    sip(800, False, "SIP/2.0 180 Ringing", "INVITE", "192.0.2.7:5070"),
    sip(2100, False, "SIP/2.0 200 OK", "INVITE", "192.0.2.7:5070", "v=0"),
    sip(2102, True, "ACK sip:alice@192.0.2.7 SIP/2.0", "ACK", "192.0.2.7:5070"),
    sip(2104, True, "SIP/2.0 200 OK", "INVITE", sdp="v=0"),
    sip(2130, False, "ACK sip:alice@example.org SIP/2.0", "ACK"),
    sip(9000, False, "BYE sip:alice@example.org SIP/2.0", "BYE"),
    sip(9001, True, "SIP/2.0 200 OK", "BYE"),
    sip(9004, True, "BYE sip:alice@192.0.2.7 SIP/2.0", "BYE", "192.0.2.7:5070"),
    sip(9030, False, "SIP/2.0 481 Call/Transaction Does Not Exist", "BYE", "192.0.2.7:5070"),
]


async def test_user_is_added_changed_and_deleted_by_keyboard(
    browser: Browser, fake: FakeSwitch, url: str
) -> None:
    told = fake.administration.bodies
    async with open_page(browser, f"{url}#admin/users") as page:
        await page.focus("#add-users")
        await page.keyboard.press("Enter")
        await expect(page.locator("#entry-form [name=name]")).to_be_focused()
        await page.keyboard.type("alice")
        await page.keyboard.press("Tab")
        await page.keyboard.type("secret of alice")
        await page.keyboard.press("Enter")
        await expect(page.locator("#list-users strong")).to_have_text("alice")
        assert told == [("POST", "/admin/users", {"name": "alice", "password": "secret of alice"})]
        await page.get_by_role("button", name="Edit alice").click()
        await expect(page.locator("#entry-form [name=name]")).to_have_attribute("readonly", "")
        await page.fill("#entry-form [name=caller_id]", "+4930")
        await page.keyboard.press("Enter")
        await expect(page.locator("#list-users small")).to_have_text("+4930")
        assert told[-1] == ("PATCH", "/admin/users/alice", {"caller_id": "+4930"})
        await page.get_by_role("button", name="Edit alice").click()
        await page.fill("#entry-form [name=caller_id]", "")
        await page.keyboard.press("Enter")
        await until(page, "!document.getElementById('entry-dialog').open")
        assert told[-1][2] == {"caller_id": None}
        await page.get_by_role("button", name="Delete alice").click()
        await page.get_by_role("button", name="Delete it? alice").click()
        await expect(page.locator("#none-users")).to_be_visible()
        await expect(page.locator("#add-users")).to_be_focused()
        await page.click("#tab-admin-audit")
        await expect(page.locator("#list-audit li")).to_have_count(4)


async def test_trunk_and_route_are_sent_with_what_differs_only(
    browser: Browser, fake: FakeSwitch, url: str
) -> None:
    told = fake.administration.bodies
    async with open_page(browser, f"{url}#admin/trunks", quiet=False) as page:
        await page.click("#add-trunks")
        await page.fill("#entry-form [name=name]", "carrier")
        await page.fill("#entry-form [name=servers]", "a.example.org\n b.example.org;transport=tls \n")
        await page.check("#entry-form [name=register]")
        await page.click("#entry-form summary")
        await page.fill("#entry-form [name=rewrite]", "^0 +49")
        await page.select_option("#entry-form [name=srtp]", "sdes")
        await page.click("#entry-save")
        await expect(page.locator("#list-trunks strong")).to_have_text("carrier")
        servers = ["a.example.org", "b.example.org;transport=tls"]
        wanted = {"name": "carrier", "servers": servers, "register": True, "rewrite": [["^0", "+49"]]}
        assert told[-1][2] == wanted | {"srtp": "sdes"}
        await page.click("#tab-admin-routes")
        await page.click("#add-routes")
        await until(page, "document.querySelector('#admin-targets option[value=\"trunk:carrier\"]') !== null")
        await page.fill("#entry-form [name=name]", "out")
        await page.fill("#entry-form [name=match]", "0.*")
        await page.fill("#entry-form [name=to]", "trunk:carrier")
        fake.administration.refuse = "match: '0.*' is not wanted"
        await page.click("#entry-save")
        await expect(page.locator("#entry-error")).to_contain_text("is not wanted")
        await expect(page.locator("#entry-form [name=match]")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.locator("#list-routes small")).to_have_text("0.* → trunk:carrier")


async def test_state_of_a_trunk_follows_by_itself_and_keeps_the_focus(
    browser: Browser, fake: FakeSwitch, url: str
) -> None:
    trunk = {"name": "carrier", "source": "database", "read_only": False, "servers": ["a.example.org"]}
    fake.trunks.append(trunk | {"state": "registering"})
    async with open_page(browser, f"{url}#admin/trunks") as page:
        state = page.locator("#list-trunks .tag")
        await expect(state).to_have_text("Registering")
        await page.get_by_role("button", name="Edit carrier").focus()
        fake.trunks[:] = [trunk | {"state": "failed", "code": 403, "reason": "Forbidden"}]
        await expect(state).to_have_text("Failed", timeout=30_000)
        await expect(page.locator("#list-trunks .fine")).to_have_text("403 · Forbidden")
        await expect(page.get_by_role("button", name="Edit carrier")).to_be_focused()


async def test_key_is_shown_once_and_never_again(browser: Browser, fake: FakeSwitch, url: str) -> None:
    async with open_page(browser, f"{url}#admin/keys") as page:
        await page.click("#add-keys")
        await page.fill("#entry-form [name=name]", "app")
        assert await page.is_checked("#entry-form [value=admin]")
        await page.click("#entry-save")
        await expect(page.locator("#secret")).to_have_text(NEW_KEY)
        await page.get_by_role("button", name="I have kept it").click()
        await expect(page.locator("#secret")).to_have_text("")
        assert NEW_KEY not in await page.content()
        assert await page.evaluate("softswitch.server.token") == NEW_KEY
        assert fake.administration.bodies[-1][2] == {"name": "app", "scopes": ["call", "admin"]}


async def test_secrets_are_not_in_the_code_that_is_copied(browser: Browser, url: str) -> None:
    async with open_page(
        browser, f"{url}#admin/users", permissions=["clipboard-read", "clipboard-write"]
    ) as page:
        await page.click("#add-users")
        await page.fill("#entry-form [name=name]", "bob")
        await page.fill("#entry-form [name=password]", "do not tell")
        await page.click("#entry-save")
        for kind in ("curl", "python", "javascript"):
            await page.click(f"#admin-snippets [data-kind={kind}]")
            await until(
                page, f"document.querySelector('#admin-snippets [data-kind={kind}]').textContent === 'Copied'"
            )
            code = await page.evaluate("navigator.clipboard.readText()")
            assert "do not tell" not in code
            assert f"{url}admin/users" in code
            assert "bob" in code


async def test_entry_of_the_file_can_be_read_but_not_changed(
    browser: Browser, fake: FakeSwitch, url: str
) -> None:
    fake.users.append({"name": "filed", "source": "file", "read_only": True, "secrets": ["password"]})
    async with open_page(browser, f"{url}#admin/users") as page:
        await expect(page.get_by_role("button", name="Delete")).to_have_count(0)
        await page.get_by_role("button", name="View filed").click()
        await expect(page.locator("#entry-note")).to_be_visible()
        await expect(page.locator("#entry-save")).to_be_hidden()
        await expect(page.locator("#entry-form [name=caller_id]")).to_be_disabled()


async def test_history_asks_the_switch_with_its_filters(browser: Browser, fake: FakeSwitch, url: str) -> None:
    fake.past += [RECORD, RECORD | {"id": "y", "caller": "600"}]
    async with open_page(browser, f"{url}#calls") as page:
        await expect(page.locator("#past li")).to_have_count(2)
        await page.fill("#history-form [name=number]", "600")
        await page.fill("#history-form [name=from]", "2030-01-01T00:00")
        await page.select_option("#history-form [name=state]", "answered")
        await page.click("#history-find")
        await expect(page.locator("#past li")).to_have_count(1)
        asked = fake.asked[-1]
        assert (asked["number"], asked["state"]) == ("600", "answered")
        assert re.fullmatch(r"20(29|30)-\d\d-\d\dT\d\d:00:00.000Z", asked["from"])
        assert "number=600" in (await page.get_attribute("#history-csv", "href") or "")
        await page.fill("#history-form [name=number]", "999")
        await page.keyboard.press("Enter")
        await expect(page.locator("#past-empty")).to_contain_text("No call fits")


async def test_call_shows_its_course_its_text_and_its_recording(
    browser: Browser, fake: FakeSwitch, url: str
) -> None:
    fake.past.append(RECORD | {"quality": [QUALITY]})
    fake.dumps["x"] = LINES
    fake.recordings["x.wav"] = stereo_wav()
    async with open_page(browser, f"{url}#calls") as page:
        await page.get_by_role("link", name="+4930123 → alice").click()
        await expect(page.locator("#detail-title")).to_have_text("+4930123 → alice")
        await expect(page.locator("#detail-transcript .words")).to_have_text(["Good day.", "hello"])
        await expect(page.locator("#detail-events b")).to_contain_text(["answer", "trackStart"])
        near = page.locator("#detail-lanes [data-lane=near] button")
        box, track = (
            await near.bounding_box(),
            await page.locator("[data-lane=near] .lane-track").bounding_box(),
        )
        assert box is not None
        assert track is not None
        assert abs((box["x"] - track["x"]) / track["width"] - 0.5) < 0.02
        assert abs(box["width"] / track["width"] - 0.3) < 0.02
        await until(page, "document.getElementById('detail-audio').duration > 1.9")
        await page.locator("#detail-transcript button").nth(1).click()
        await until(page, "document.getElementById('detail-audio').currentTime >= 1")
        await expect(page.locator("#detail-transcript [data-current]")).to_contain_text("hello")
        await expect(page.locator("#detail-quality")).to_contain_text("Jitter4 ms")
        charts = page.locator("#detail-quality .chart")
        await expect(charts).to_have_count(6)
        await expect(charts.first).to_contain_text("2.9 to 4.3, mean 3.85")
        await expect(charts.nth(4)).to_contain_text("47 to 60, mean 51 ms")
        await expect(page.locator("#detail-quality")).to_contain_text("opus · host 192.0.2.9:20000")
        await page.evaluate("document.getElementById('detail-audio').pause()")
        await charts.first.locator("svg").click(position={"x": 1, "y": 20})
        await until(page, "document.getElementById('detail-audio').currentTime < 1")
        await page.click("#detail-back")
        await expect(page.locator("#past li")).to_have_count(1)
        assert page.url.endswith("#calls")


async def test_kept_transcript_and_a_late_recording_are_on_one_clock(
    browser: Browser, fake: FakeSwitch, url: str
) -> None:
    turns = [
        {"party": "caller", "start_ms": 1200, "end_ms": 1500, "text": "hello"},
        {"party": "callee", "start_ms": 1700, "end_ms": 1900, "text": "good day"},
    ]
    fake.past.append(RECORD | {"transcript": {"id": "t", "status": "completed", "turns": turns}})
    fake.recordings["x.wav"] = stereo_wav()
    async with open_page(browser, f"{url}#calls/x") as page:
        await expect(page.locator("#detail-transcript .words")).to_have_text(["hello", "good day"])
        await expect(page.locator("#detail-transcript .near")).to_have_count(1)
        fake.past[0].pop("transcript")
        started = {"at": BEGAN + 700, "event": {"event": "recording", "state": "started"}}
        fake.dumps["x"] = [LINES[0], started, *LINES[1:]]
        await page.reload()
        await until(page, "document.getElementById('detail-audio').duration > 1.9")
        await page.locator("#detail-transcript button").nth(1).click()
        await until(page, "document.getElementById('detail-audio').currentTime >= 0.29")
        assert await page.locator("#detail-transcript li").nth(1).get_attribute("data-at") == "0.3"


async def test_sip_messages_of_a_call_are_a_ladder(browser: Browser, fake: FakeSwitch, url: str) -> None:
    fake.past += [RECORD | {"sip": True}, RECORD | {"id": "y"}]
    fake.dumps |= {"x": LINES, "y": LINES}
    fake.recordings["x.wav"] = stereo_wav()
    fake.traces["x"] = TRACE
    async with open_page(browser, f"{url}#calls/x") as page:
        messages = page.locator("#detail-ladder .message")
        await expect(messages).to_have_count(len(TRACE))
        await expect(page.locator("#detail-ladder .column")).to_have_text(
            ["192.0.2.1:5060", "Switch", "192.0.2.7:5070"]
        )
        await expect(messages.locator(".label")).to_contain_text(["INVITE (SDP)", "100 Trying (INVITE)"])
        await expect(page.locator("#detail-sip-text")).to_contain_text("INVITE sip:alice@example.org")
        await messages.nth(4).click()
        await expect(page.locator("#detail-sip-text")).to_contain_text("SIP/2.0 200 OK")
        await page.keyboard.press("ArrowDown")
        await expect(messages.nth(5)).to_be_focused()
        await expect(page.locator("#detail-sip-text")).to_contain_text("ACK sip:alice@192.0.2.7")
        assert "calls/x/sip?format=text" in (await page.get_attribute("#detail-sip", "href") or "")
        await page.goto(f"{url}#calls/y")
        await expect(page.locator("#detail-sip-card")).to_be_hidden()


async def test_overview_counts_calls_and_says_what_is_wrong(
    browser: Browser, fake: FakeSwitch, url: str
) -> None:
    async with open_page(browser, url, quiet=False) as page:
        # Hours of the database are whole ones, so the first of today may have begun before midnight.
        now = int(await page.evaluate("Math.floor(Date.now() / 3600e3) * 3600e3"))
        fake.hours += [
            {"at": now - 40 * 3_600_000, "answered": 7, "failed": 0, "reasons": {}, "setupMs": 90},
            {"at": now, "answered": 1, "failed": 1, "reasons": {"busy": 1}, "setupMs": 90},
        ]
        fake.trunks.append({"name": "carrier", "state": "failed", "code": 403, "reason": "Forbidden"})
        fake.faults = ["store"]
        fake.metrics = 'process_resident_memory_bytes 5e7\nsoftswitch_answer_seconds_bucket{le="0.5"} 1\n'
        await page.click("#tab-overview")
        await expect(page.locator("#alarms li")).to_have_text(
            [
                "The database cannot be reached. Records wait on the disk.",
                "Trunk carrier refuses the registration: 403 Forbidden",
            ]
        )
        await expect(page.locator("#tiles strong")).to_contain_text(
            ["0", "2", "50 %", "1", "\u2013", "\u2013", "0 / 1", "\u2013", "50.0 MB"]
        )
        await expect(page.locator("#reasons")).to_contain_text("busy")
        await expect(page.locator("#hours")).to_have_attribute(
            "aria-label", re.compile("1 answered, 1 failed")
        )
        await expect(page.locator("#overview-trunks .fine")).to_have_text("no calls in the last minute")
        fake.quality.append(TRUNK_QUALITY)
        await expect(page.locator("#overview-trunks .fine")).to_have_text(
            "MOS 3.1 · 6.2 % lost · Jitter 24 ms · Round trip 81 ms"
        )
        await expect(page.locator("#alarms")).to_contain_text("Calls over trunk carrier sound bad: MOS 3.1.")
        fake.faults, fake.trunks[:], fake.quality[:] = [], [], []
        await expect(page.locator("#alarms-none")).to_be_visible()
        await expect(page.locator("#trunks-card")).to_be_hidden()


async def test_overview_shows_who_waits_in_a_queue(browser: Browser, fake: FakeSwitch, url: str) -> None:
    queue = {
        "name": "support",
        "users": ["anna", "bernd"],
        "free": ["bernd"],
        "waiting": 1,
        "callers": [{"id": "q", "caller": "+4930123", "ringing": "bernd"}],
        "answered": 4,
        "abandoned": 1,
        "timedOut": 1,
        "meanWaitMs": 21_000,
        "longestWaitMs": 148_000,
    }
    async with open_page(browser, f"{url}#overview") as page:
        await expect(page.locator("#queues-card")).to_be_hidden()
        fake.queues.append(queue)
        await expect(page.locator("#queues .tag")).to_have_text("1 waits", timeout=30_000)
        await expect(page.locator("#queues small")).to_have_text("+4930123 → bernd")
        await expect(page.locator("#queues .fine")).to_have_text(
            ["4 answered · 2 gave up · wait 00:21, at most 02:28", "1 of 2 users free"]
        )
        assert await serious(page) == []


async def test_first_visit_leads_to_a_call_and_is_not_shown_again_once_hidden(
    browser: Browser, fake: FakeSwitch, url: str
) -> None:
    async with open_page(browser, url) as page:
        await page.click("#welcome-check")
        await expect(page.locator("#welcome-words")).to_have_text("Your microphone works.", timeout=15_000)
        await page.get_by_text("WebSocket", exact=True).click()
        await page.click("#sample-reception")
        await until(page, "softswitch.session.state === 'connected'")
        call = only_call(fake)
        await call.emit("asrFinal", index=1, text="sales please")
        await expect(page.locator("#transcript")).to_contain_text("Sales is on the first floor")
        await page.click("#hangup")
        await page.click("#welcome-close")
        await page.reload()
        await expect(page.locator("#welcome")).to_be_hidden()
        await page.click("#welcome-open")
        await expect(page.locator("#welcome-call")).to_be_focused()


async def test_voice_and_options_that_were_chosen_reach_the_switch(
    browser: Browser, fake: FakeSwitch, url: str
) -> None:
    async with open_page(browser, url) as page:
        await page.select_option("#setup [name=provider]", "cloud")
        await expect(page.locator("#setup-voices option")).to_have_attribute("value", "nova")
        await page.fill("#setup [name=speaker]", "nova")
        await page.click("#setup details:last-of-type summary")
        await page.click("#options-open")
        await page.fill("#options-form [name='bargeIn.minWords']", "2")
        shown = json.loads(await page.input_value("#options-json"))
        assert shown["bargeIn"] == {"mode": "server", "minWords": 2}
        shown |= {
            "amd": True,
            "asr": {"provider": "builtin", "grammar": {"type": "phrases", "items": ["yes", "no"]}},
        }
        await page.fill("#options-json", json.dumps(shown))
        assert await page.input_value("#options-form [name='asr.grammar.items']") == "yes\nno"
        await page.fill("#options-json", "{")
        await expect(page.locator("#options-error")).not_to_be_empty()
        await page.keyboard.press("Escape")
        await call_from(page, "WebSocket")
        option = only_call(fake).option
        assert option["tts"] == {"provider": "cloud", "speaker": "nova"}
        assert option["bargeIn"]["minWords"] == 2
        assert option["amd"] is True
        assert option["asr"]["grammar"] == {"type": "phrases", "items": ["yes", "no"]}


async def test_voice_is_heard_without_a_call_of_ones_own(
    browser: Browser, fake: FakeSwitch, url: str
) -> None:
    async with open_page(browser, url) as page:
        await page.fill("#setup [name=speaker]", "de")
        await page.click("#setup [data-listen]")
        await until(page, "document.querySelector('#setup [data-listen]').disabled")
        await until(page, "!document.querySelector('#setup [data-listen]').disabled", seconds=20)
        await expect(page.locator("#notice")).to_be_hidden()
    assert any(ident.startswith("sample-") for ident in fake.opened)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_views_of_an_operator_are_accessible(
    browser: Browser, fake: FakeSwitch, url: str, scheme: str
) -> None:
    fake.past.append(RECORD | {"sip": True, "quality": [QUALITY]})
    fake.dumps["x"] = LINES
    fake.traces["x"] = TRACE
    fake.recordings["x.wav"] = stereo_wav()
    fake.users.append({"name": "alice", "source": "database", "read_only": False, "secrets": ["password"]})
    fake.faults, fake.quality = ["store"], [TRUNK_QUALITY]
    async with open_page(browser, url, color_scheme=scheme, quiet=False) as page:
        await page.click("#tab-overview")
        await page.wait_for_selector("#alarms li")
        assert await serious(page) == []
        await page.click("#tab-calls")
        await page.get_by_role("link", name="+4930123").click()
        await page.wait_for_selector("#detail-transcript li")
        await page.wait_for_selector("#detail-ladder .message")
        assert await serious(page) == []
        await page.click("#tab-admin")
        await page.get_by_role("button", name="Edit alice").click()
        assert await serious(page) == []
        await page.keyboard.press("Escape")
        await page.click("#tab-talk")
        await open_options(page)
        assert await serious(page) == []


async def open_options(page: Page) -> None:
    await page.click("#setup details:last-of-type summary")
    await page.click("#options-open")
