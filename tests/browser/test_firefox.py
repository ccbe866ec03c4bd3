"""Firefox as the caller: the page, the real switch, sound in both directions."""

from pathlib import Path

import pytest

from tests.browser.real_switch import real_switch
from tests.conftest import require_tool
from tests.support.firefox import firefox

pytestmark = [pytest.mark.client, pytest.mark.asyncio(loop_scope="package")]

STATS = """(async () => {
  const stats = [...(await softswitch.session.transport.report())];
  const find = type => stats.find(each => each.type === type) ?? {};
  return Math.min(find("inbound-rtp").packetsReceived ?? 0, find("outbound-rtp").packetsSent ?? 0);
})()"""


async def test_firefox_calls_hears_and_hangs_up(tmp_path: Path) -> None:
    program = require_tool("firefox-esr", "firefox")
    async with real_switch(tmp_path) as url, firefox(program, tmp_path / "profile") as browser:
        await browser.open(url)
        await browser.evaluate("document.getElementById('call').click()")
        await browser.until("softswitch.session.state !== 'connecting'")
        assert await browser.evaluate("softswitch.session.state + softswitch.session.detail") == "connected"
        await browser.until(f"{STATS}.then(packets => packets > 50)")
        spoken = "document.querySelector('#transcript .far .words')?.textContent ?? ''"
        assert "This is your switch speaking" in str(await browser.evaluate(spoken))
        await browser.evaluate("document.getElementById('hangup').click()")
        await browser.until("softswitch.session.state === 'disconnected'")
        assert await browser.evaluate("softswitch.session.detail") == "You hung up"
