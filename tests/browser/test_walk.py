"""What a new user does with an empty switch, on the page alone: no settings file, no shell.

A key, a user, a trunk to kamailio and routes are made; a telephone calls out and is called; the call is
listened to, whispered into and recorded with a pause; it is found by a word that was said, and heard beside
its text.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, Playwright, expect

from tests.browser.conftest import launch, open_page, write_wav
from tests.browser.listen import until, until_heard
from tests.browser.real_switch import SPOKEN_RATE, get_bytes, real_switch, spoken
from tests.browser.test_real_call import read_stereo
from tests.support.baresip import RATES, Baresip
from tests.support.kamailio import Kamailio
from tests.support.ports import free_port
from tests.support.sound import Pcm, level, share, tone

pytestmark = [pytest.mark.client, pytest.mark.asyncio(loop_scope="package")]

RATE = RATES["g711"]
BOSS_HZ = 1000.0
"""Pitch of the supervisor's voice."""
BOB_SAYS = "Please tell me about the weather tomorrow."
ALICE_SAYS = "It will be sunny and warm in the afternoon."
PATIENT_MS = 60_000


@pytest_asyncio.fixture(loop_scope="package")
async def boss(playwright: Playwright, tmp_path: Path) -> AsyncIterator[Browser]:
    """Chromium in which the operator speaks, in one pitch."""
    microphone = write_wav(tmp_path / "mic.wav", tone(BOSS_HZ, 30, 48000, 0.3))
    async with launch(playwright, microphone) as running:
        yield running


def telephone_voice(speech: np.ndarray, before_s: float) -> Pcm:
    """Return a sentence as a telephone says it, over and over for two minutes, after a silence.

    A faint noise never ends: what is silent in a recording was left out of it.
    """
    step = SPOKEN_RATE // RATE
    low = speech[: len(speech) // step * step].astype(np.float64).reshape(-1, step).mean(axis=1)
    turn = np.concatenate([np.zeros(int(before_s * RATE)), low, np.zeros(int(5 * RATE))])
    spoken_often = np.tile(turn, int(120 * RATE / len(turn)) + 1)
    noise = np.random.default_rng(4).normal(0, 40, len(spoken_often))
    return (spoken_often + noise).astype(np.int16)


def left_out(left: np.ndarray, right: np.ndarray, rate: int) -> float:
    """Return the longest time, in seconds, for which nothing of both sides is in a recording."""
    silent = np.concatenate([[False], (np.abs(left) < 3) & (np.abs(right) < 3), [False]])
    begins, ends = np.flatnonzero(~silent[:-1] & silent[1:]), np.flatnonzero(silent[:-1] & ~silent[1:])
    return float(max(ends - begins, default=0)) / rate


def whispered(sound: Pcm) -> float:
    """Return for how many seconds the supervisor's pitch is the main thing that is heard."""
    piece = RATE // 5
    pieces = sound[: len(sound) // piece * piece].reshape(-1, piece)
    return sum(level(one) > 300 and share(one, BOSS_HZ, RATE) > 0.6 for one in pieces) / 5


async def shows(place: Locator, text: str) -> None:
    """Wait until a part of the page says something."""
    await expect(place).to_contain_text(text, timeout=PATIENT_MS)


async def choose(page: Page, view: str, kind: str = "") -> None:
    """Click a view, and a tab in it."""
    await page.click(f"#tab-{view}")
    if kind:
        await page.click(f"#tab-admin-{kind}")


async def make(page: Page, kind: str, **fields: str | bool) -> None:
    """Fill the form of an entry and save it; fields that are folded away are unfolded first."""
    await choose(page, "admin", kind)
    await page.click(f"#add-{kind}")
    for name, value in fields.items():
        field = page.locator(f"#entry-form [name={name}]")
        if not await field.is_visible():
            await page.click("#entry-form summary")
        if isinstance(value, bool):
            await field.set_checked(value)
        else:
            await field.fill(value)
    await page.click("#entry-save")
    await shows(page.locator(f"#list-{kind}"), str(fields["name"]))


async def test_new_user_sets_up_an_empty_switch_and_takes_calls_on_the_page_alone(
    boss: Browser, tmp_path: Path
) -> None:
    data, sip_port = tmp_path / "data", free_port()
    data.mkdir()
    with Kamailio(tmp_path / "kamailio") as provider:
        async with real_switch(data, SIP_PORT=str(sip_port), SIP_HOST="127.0.0.1") as url:
            voices = [await spoken(url, text) for text in (BOB_SAYS, ALICE_SAYS)]
            async with open_page(boss, url) as page:
                page.set_default_timeout(PATIENT_MS)
                await set_up(page, provider)
                password = await add_alice(page)
                account = f"<sip:alice@127.0.0.1:{sip_port};transport=udp>;auth_pass={password};regint=60"
                server = f"{provider.host}:{provider.port}"
                outside = (
                    f"<sip:bob@{provider.domain};transport=udp>;auth_user=bob;auth_pass={provider.password}"
                    f';outbound="sip:{server};transport=udp";regint=60'
                )
                alice = Baresip(tmp_path / "alice", account, telephone_voice(voices[1], 5))
                bob = Baresip(tmp_path / "bob", outside, telephone_voice(voices[0], 1))
                async with alice, bob:
                    await alice.registered()
                    await bob.registered()
                    await see_phones(page)
                    await call_out(page, alice, bob, sip_port)
                    await be_called(page, alice, bob, provider)
                assert whispered(alice.heard()) > 1
                assert whispered(bob.heard()) == 0
                await find(page)


async def set_up(page: Page, provider: Kamailio) -> None:
    """Make the first key, which this page then uses, a trunk, and a route for each direction."""
    await choose(page, "admin", "keys")
    await page.click("#add-keys")
    await page.fill("#entry-form [name=name]", "me")
    await page.click("#entry-save")
    await page.get_by_role("button", name="I have kept it").click()
    await make(
        page,
        "trunks",
        name="provider",
        servers=f"{provider.host}:{provider.port}",
        username="switch",
        password=provider.password,
        register=True,
        from_domain=provider.domain,
    )
    await shows(page.locator("#list-trunks li"), "Registered")


async def add_alice(page: Page) -> str:
    """Make a user with a password that the page makes up, and the routes to and from her; return it."""
    await choose(page, "admin", "users")
    await page.click("#add-users")
    await page.fill("#entry-form [name=name]", "alice")
    await page.get_by_role("button", name="Make one up").click()
    password = await page.input_value("#entry-form [name=password]")
    await page.click("#entry-save")
    await make(page, "routes", name="out", match="9(.+)", to="trunk:provider", number="\\1")
    await make(page, "routes", name="in", match="switch", to="user:alice", trunk="provider")
    return password


async def see_phones(page: Page) -> None:
    """Look at what is registered, without a button for it."""
    await choose(page, "admin", "users")
    await shows(page.locator("#list-users li"), "Registered")
    await choose(page, "phones")
    await shows(page.locator("#view-phones"), "provider")
    await shows(page.locator("#users li"), "baresip")


async def call_out(page: Page, alice: Baresip, bob: Baresip, sip_port: int) -> None:
    """Let the telephone call out over the trunk, and see the call while it lasts and afterwards."""
    alice.command("dial", f"sip:9bob@127.0.0.1:{sip_port}")
    await bob.until("CALL_ESTABLISHED")
    await choose(page, "calls")
    await shows(page.locator("#live li"), "alice → 9bob")
    alice.command("hangup")
    await bob.until("CALL_CLOSED")
    await shows(page.locator("#past li").first, "alice → 9bob")


async def be_called(page: Page, alice: Baresip, bob: Baresip, provider: Kamailio) -> None:
    """Let the telephone be called; listen, whisper, record, pause, go on."""
    before = len(alice.events), len(bob.events)
    bob.command("dial", f"sip:switch@{provider.domain}")
    await alice.until("CALL_ESTABLISHED", after=before[0])
    await choose(page, "calls")
    row = page.locator("#live li", has_text="bob → switch")
    await row.get_by_role("button", name="Record", exact=False).first.click()
    await expect(row.get_by_role("button", name="Pause recording")).to_be_visible(timeout=PATIENT_MS)
    await choose(page, "overview")
    await page.get_by_role("button", name="Listen bob → switch").click()
    await expect(page.locator("#supervise-line")).to_have_text("Neither party hears you", timeout=PATIENT_MS)
    await until_heard(page, "far")
    for word in ("weather", "afternoon"):
        await shows(page.locator("#supervise-words"), word)
    await page.get_by_role("button", name="Whisper bob → switch").click()
    await expect(page.locator("#supervise-line")).to_have_text("Only the agent hears you", timeout=PATIENT_MS)
    await choose(page, "calls")
    await row.get_by_role("button", name="Pause recording").click()
    await asyncio.sleep(3)
    await row.get_by_role("button", name="Resume recording").click()
    await expect(row.get_by_role("button", name="Pause recording")).to_be_visible(timeout=PATIENT_MS)
    await choose(page, "overview")
    await page.click("#supervise-stop")
    await expect(page.locator("#supervise-now")).to_be_hidden(timeout=PATIENT_MS)
    bob.command("hangup")
    await alice.until("CALL_CLOSED", after=before[0])


async def find(page: Page) -> None:
    """Find the call by a word that bob said, and hear it beside the text."""
    await choose(page, "calls")
    found = page.locator("#past li")
    await page.fill("#history-form [name=text]", "weather")
    for _ in range(60):
        await page.click("#history-find")
        await asyncio.sleep(1)
        if await found.count():
            break
    await expect(found).to_have_count(1)
    await found.get_by_role("link", name="bob → switch").click()
    line = page.locator("#detail-transcript li", has_text="weather").first
    await shows(line, "Caller")
    await shows(page.locator("#detail-transcript"), "afternoon")
    await until(page, "document.getElementById('detail-audio').duration > 3")
    file = await page.get_attribute("#detail-audio", "src")
    assert file is not None
    assert left_out(*read_stereo(await get_bytes(file))) > 1.5
    await line.get_by_role("button").click()
    await until(page, "!document.getElementById('detail-audio').paused")
    await shows(page.locator("#detail-transcript [data-current]"), "weather")
