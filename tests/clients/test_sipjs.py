"""SIP.js in Chromium as a telephone of the switch: it registers over WebSocket and calls."""

import asyncio
import subprocess
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright

from tests.browser.conftest import launch, write_wav
from tests.clients.telephony import Telephony, voice
from tests.conftest import ROOT, missing, require_tool

pytestmark = pytest.mark.client

HERE = Path(__file__).parent
SCRIPTS = ROOT / ".venv" / "js" / "node_modules"
SETTINGS = """
[[user]]
name = "web"
password = "web-secret"

[[route]]
match = "600"
to = "echo"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return SIP.js as one script for a page."""
    bundler = SCRIPTS / ".bin" / "esbuild"
    if not bundler.exists() or not (SCRIPTS / "sip.js").is_dir():
        require_tool("npm")
        missing("SIP.js is not installed (scripts/setup.sh test)")
    folder = tmp_path_factory.mktemp("sipjs")
    (folder / "entry.js").write_text('import * as SIP from "sip.js"; globalThis.SIP = SIP;')
    done = subprocess.run(
        [bundler, "entry.js", "--bundle", "--format=iife", "--outfile=sipjs.js"],
        cwd=folder,
        env={"NODE_PATH": str(SCRIPTS)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return (folder / "sipjs.js").read_text(encoding="utf-8")


async def until(page: Page, expression: str, seconds: float = 60.0) -> None:
    """Wait until an expression, or its promise, is true in the page."""
    try:
        async with asyncio.timeout(seconds):
            while not await page.evaluate(expression):
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"SIP.js told {await page.evaluate('phone.told')}, not {expression}") from None


async def test_browser_phone_registers_and_hears_itself_at_the_echo(tmp_path: Path, script: str) -> None:
    microphone = write_wav(tmp_path / "mic.wav", voice(1000, 48000, 30))
    # A page that a test makes up comes from no address: Chromium would keep it from this machine's own.
    synthetic = "--disable-features=LocalNetworkAccessChecks"
    with Telephony(tmp_path / "data", SETTINGS) as switch:
        async with async_playwright() as playwright, launch(playwright, microphone, synthetic) as browser:
            page = await (await browser.new_context()).new_page()
            await page.route(
                "**/phone.html",
                lambda route: route.fulfill(
                    path=HERE / "sipjs.html", content_type="text/html; charset=utf-8"
                ),
            )
            await page.route(
                "**/sipjs.js", lambda route: route.fulfill(body=script, content_type="text/javascript")
            )
            await page.goto(switch.url("/phone.html"))
            uri = f"sip:web@127.0.0.1:{switch.sip_port}"
            socket = switch.socket_url("/sip")
            assert await page.evaluate(
                "([socket, uri]) => phone.register(socket, uri, 'web-secret')", [socket, uri]
            )
            await page.evaluate("phone.call('sip:600@127.0.0.1')")
            await until(page, "phone.told.includes('Established')")
            await page.evaluate("phone.listen()")
            await until(page, "phone.heard().then(energy => energy > 0.01)")
            await page.evaluate("phone.session.bye()")
            await until(page, "phone.told.includes('Terminated')")
        await switch.no_calls()
        assert switch.tracebacks() == []
