"""JsSIP in Chromium as a telephone of the switch: it registers over WebSocket, calls, and is called."""

import asyncio
import contextlib
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright

from softswitch.cli.token import make_token
from tests.browser.conftest import launch, write_wav
from tests.clients.telephony import Telephony, hears, voice
from tests.conftest import ROOT, missing, require_tool
from tests.support.baresip import RATES, Baresip

pytestmark = pytest.mark.client

HERE = Path(__file__).parent
SCRIPTS = ROOT / ".venv" / "js" / "node_modules"
SETTINGS = """
[[user]]
name = "web"
password = "web-secret"

[[user]]
name = "alice"
password = "alice-secret"

[[route]]
match = "600"
to = "echo"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return JsSIP as one script for a page."""
    bundler = SCRIPTS / ".bin" / "esbuild"
    if not bundler.exists():
        require_tool("npm")
        missing("JsSIP is not installed (scripts/setup.sh test)")
    folder = tmp_path_factory.mktemp("jssip")
    (folder / "entry.js").write_text('import * as JsSIP from "jssip"; globalThis.JsSIP = JsSIP;')
    done = subprocess.run(
        [bundler, "entry.js", "--bundle", "--format=iife", "--outfile=jssip.js"],
        cwd=folder,
        env={"NODE_PATH": str(SCRIPTS)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return (folder / "jssip.js").read_text(encoding="utf-8")


@contextlib.asynccontextmanager
async def web_phone(
    switch: Telephony, folder: Path, script: str, password: str = "web-secret", token: str = ""
) -> AsyncIterator[Page]:
    """Open a page of the switch's own origin that is a telephone humming 1000 Hz, registered as `web`."""
    microphone = write_wav(folder / "mic.wav", voice(1000, 48000, 30))
    # A page that a test makes up comes from no address: Chromium would keep it from this machine's own.
    synthetic = "--disable-features=LocalNetworkAccessChecks"
    async with async_playwright() as playwright, launch(playwright, microphone, synthetic) as browser:
        page = await (await browser.new_context()).new_page()
        await page.route(
            "**/phone.html",
            lambda route: route.fulfill(path=HERE / "jssip.html", content_type="text/html; charset=utf-8"),
        )
        await page.route(
            "**/jssip.js", lambda route: route.fulfill(body=script, content_type="text/javascript")
        )
        await page.goto(switch.url("/phone.html"))
        socket = switch.socket_url("/sip")
        uri = f"sip:web@127.0.0.1:{switch.sip_port}"
        assert await page.evaluate("(given) => phone.register(...given)", [socket, uri, password, token])
        yield page


async def told(page: Page, what: str, seconds: float = 15.0) -> None:
    """Wait until the telephone has told of something."""
    try:
        async with asyncio.timeout(seconds):
            while not any(what in line for line in await page.evaluate("phone.told")):
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"JsSIP told {await page.evaluate('phone.told')}, not {what!r}") from None


async def hums(page: Page, hz: float, seconds: float = 10.0) -> None:
    """Wait until the telephone hears a pitch, loud."""
    heard: list[float] = []
    try:
        async with asyncio.timeout(seconds):
            while not (heard and abs(heard[0] - hz) < 20 and heard[1] > -50):
                heard = await page.evaluate("phone.heard()")
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"the page hears {heard}, not {hz} Hz") from None


async def test_browser_phone_registers_and_hears_itself_at_the_echo(tmp_path: Path, script: str) -> None:
    with Telephony(tmp_path / "data", SETTINGS) as switch:
        async with web_phone(switch, tmp_path, script) as page:
            await page.evaluate("phone.call('sip:600@127.0.0.1')")
            await told(page, "confirmed")
            await hums(page, 1000)
            await page.evaluate("phone.session.terminate()")
            await told(page, "ended")
        await switch.no_calls()
        assert switch.tracebacks() == []


async def test_browser_phone_registers_and_calls_with_a_token(tmp_path: Path, script: str) -> None:
    secret = "s" * 48
    user = '[[user]]\nname = "web"\ntokens = "any"\n'
    settings = f'[auth]\njwt_secret = "{secret}"\n{user}[[route]]\nmatch = "600"\nto = "echo"\n'
    token = make_token(secret, "web", ["call"], time.time(), 600)
    with Telephony(tmp_path / "data", settings) as switch:
        async with web_phone(switch, tmp_path, script, password="", token=token) as page:
            await page.evaluate("phone.call('sip:600@127.0.0.1')")
            await told(page, "confirmed")
            await hums(page, 1000)
            await page.evaluate("phone.session.terminate()")
            await told(page, "ended")
        assert switch.tracebacks() == []
        assert token not in switch.output()


async def test_desk_phone_and_browser_phone_call_one_another(tmp_path: Path, script: str) -> None:
    with Telephony(tmp_path / "data", SETTINGS) as switch:
        account = (
            f"<sip:alice@127.0.0.1:{switch.sip_port};transport=udp>"
            ";auth_user=alice;auth_pass=alice-secret;regint=60"
        )
        async with (
            web_phone(switch, tmp_path, script) as page,
            Baresip(tmp_path / "alice", account, voice(440, RATES["g711"])) as alice,
        ):
            await alice.registered()
            alice.command("dial", "web")
            await alice.until("CALL_ESTABLISHED")
            await told(page, "confirmed")
            await hums(page, 440)
            await asyncio.sleep(2)
            alice.command("hangup")
            await told(page, "ended remote")
            await page.evaluate("phone.told.length = 0")
            await page.evaluate("phone.call('sip:alice@127.0.0.1')")
            await told(page, "confirmed")
            await hums(page, 440)
            await page.evaluate("phone.session.hold()")
            await told(page, "hold")
            # JsSIP refuses while the hold is being answered.
            await page.wait_for_function("phone.session.unhold()", timeout=10_000)
            await told(page, "unhold")
            await hums(page, 440)
            await page.evaluate("phone.session.terminate()")
            await told(page, "ended")
        hears(alice.heard(), RATES["g711"], 1000, but_not=(440,))
        await switch.no_calls()
        assert switch.tracebacks() == []
