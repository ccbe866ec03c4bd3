"""The page in Chromium, in a network of its own: the path of its sound dies, and it finds another one."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright

from tests.browser.conftest import MIC_RATE, launch, open_page, write_wav
from tests.browser.listen import call_from, until, until_heard
from tests.conftest import require_tool
from tests.networks.topology import Namespace
from tests.support import sound
from tests.support.switch import SwitchThread

pytestmark = pytest.mark.client

SWITCH, TURN, PAGE, RELAY = "10.1.0.1", "10.2.0.254", "10.2.0.2", "10.1.0.254"
SECRET = "authored-for-tests"
RESTART_S = 5.0
MEDIA, SPARE = "10.1.0.7", "10.1.0.8"
PAIR = """async () => {
  const peer = (softswitch.room.peer ?? softswitch.session.transport.peer);
  const stats = await peer.getStats();
  const chosen = [...stats.values()].find(({ type }) => type === "transport").selectedCandidatePairId;
  const { localCandidateId, remoteCandidateId } = stats.get(chosen);
  const [local, remote] = [stats.get(localCandidateId), stats.get(remoteCandidateId)];
  return { ports: [local.port, remote.port], remote: remote.address };
}"""
"""The path in use. A browser hides its own addresses, but not its ports."""


class Turn:
    """coturn on the router between page and switch, which forwards no UDP."""

    def __init__(self, router: Namespace, folder: Path) -> None:
        self._router, self._folder = router, folder
        self.process: subprocess.Popen[bytes]
        self.start()

    def start(self) -> None:
        flags = [
            "--use-auth-secret", "--no-tls", "--no-dtls", "--no-cli", "-n", "--realm=test",
            "--log-file=stdout",
            f"--static-auth-secret={SECRET}", f"--listening-ip={TURN}", f"--relay-ip={RELAY}",
            f"--userdb={self._folder / 'turndb'}", f"--pidfile={self._folder / 'turn.pid'}",
        ]  # fmt: skip
        with self._router.entered():
            self.process = subprocess.Popen(
                [require_tool("turnserver"), *flags], cwd=self._folder,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


@pytest.fixture
def far(topology, tmp_path) -> Iterator[Any]:
    """Return a switch, the namespace of a page, and the TURN server that joins them."""
    for tool in ("nft", "turnserver"):
        require_tool(tool)
    here, router, there = topology.host("switch"), topology.router("router"), topology.host("page")
    topology.join(here, router, addresses=[f"{SWITCH}/24"], other_addresses=[f"{RELAY}/24"])
    topology.join(router, there, addresses=[f"{TURN}/24"], other_addresses=[f"{PAGE}/24"])
    here.ip(f"route add default via {RELAY}")
    there.ip(f"route add default via {TURN}")
    rule = "table ip wall { chain on { type filter hook forward priority 0; udp length > 0 drop; }; }"
    router.run("nft", rule)
    turn = Turn(router, tmp_path)
    sections = {
        "http": {"hosts": [SWITCH]},
        "ice": {"host_addresses": [SWITCH], "turn_urls": [f"turn:{TURN}:3478"], "turn_secret": SECRET},
        "speech": {"preload": False},
    }
    switch = SwitchThread(tmp_path / "data", sections, host=SWITCH)
    with here.entered():
        switch.start()
    try:
        yield switch, there, turn
    finally:
        switch.stop()
        turn.kill()


def test_page_restarts_ice_within_five_seconds_when_its_turn_server_dies(far, tmp_path):
    switch, there, turn = far
    hum = sound.tone(300, 4.0, rate=MIC_RATE)

    async def call() -> float:
        origin = switch.url("")
        flag = f"--unsafely-treat-insecure-origin-as-secure={origin}"
        async with (
            async_playwright() as playwright,
            launch(playwright, write_wav(tmp_path / "mic.wav", hum), flag) as browser,
            open_page(browser, switch.url("/"), quiet=False) as page,
        ):
            await page.fill("#setup [name=greeting]", "")
            await page.evaluate("document.querySelector('#setup [name=callee]').value = 'echo'")
            await call_from(page)
            await until(page, "softswitch.session.transport.peer.connectionState === 'connected'")
            await until_heard(page, "far")
            await page.evaluate(
                "window.offered = 0; window.begin = 0;"
                "softswitch.session.addEventListener('sent', ({detail}) => {"
                " if (detail.command === 'offer' && !window.offered) window.offered = performance.now(); })"
            )
            await page.evaluate("window.begin = performance.now()")
            turn.kill()
            turn.start()
            await until(page, "window.offered > 0", seconds=20)
            waited = float(await page.evaluate("window.offered - window.begin")) / 1000
            await until(page, "softswitch.session.state === 'connected'", seconds=20)
            await until(page, "softswitch.session.transport.peer.connectionState === 'connected'", seconds=20)
            await asyncio.sleep(1)
            await until_heard(page, "far")
            await page.click("#hangup")
            return waited

    with there.entered():
        waited = asyncio.run(asyncio.wait_for(call(), 90))
    assert waited < RESTART_S


@asynccontextmanager
async def browsing(switch: SwitchThread, folder: Path) -> AsyncIterator[Browser]:
    """Run Chromium with a humming microphone, which it also gives to a page of an address without TLS."""
    flag = f"--unsafely-treat-insecure-origin-as-secure={switch.url('')}"
    microphone = write_wav(folder / "mic.wav", sound.tone(300, 4.0, rate=MIC_RATE))
    async with async_playwright() as playwright, launch(playwright, microphone, flag) as browser:
        yield browser


@pytest.fixture
def near(topology, tmp_path) -> Iterator[Any]:
    """Return a switch with two addresses for media, its namespace, that of a page, and the device between."""
    require_tool("nft")
    here, there = topology.host("switch"), topology.host("page")
    device, _ = topology.join(here, there, addresses=[f"{SWITCH}/24"], other_addresses=["10.1.0.2/24"])
    for address in (MEDIA, SPARE):
        here.ip(f"addr add {address}/24 dev {device}")
    there.ip(f"route add default via {SWITCH}")
    sections = {
        "http": {"hosts": [SWITCH]},
        "ice": {"host_addresses": [MEDIA, SPARE]},
        "speech": {"preload": False},
    }
    switch = SwitchThread(tmp_path / "data", sections, host=SWITCH)
    with here.entered():
        switch.start()
    try:
        yield switch, here, there, device
    finally:
        switch.stop()


async def into_room(page: Page, topology: str, room: str = "") -> str:
    """Make a room and go into it, or go into one that is there; return its id."""
    await page.click("#tab-rooms")
    await page.fill("#room-new [name=person]", "Right" if room else "Left")
    if room:
        await page.locator(f"#rooms [data-room='{room}']").get_by_role("button", name="Join").click()
    else:
        await page.fill("#room-new [name=name]", "A room")
        await page.check(f"#room-new [value={topology}]", force=True)
        await page.click("#room-create")
    await until(page, "softswitch.room.state === 'inside'")
    return str(await page.evaluate("softswitch.room.room"))


@pytest.mark.parametrize("topology_of_room", ["mix", "p2p"])
def test_room_finds_another_path_when_the_one_in_use_dies(near, tmp_path, topology_of_room):
    switch, _, there, _ = near

    async def talk() -> None:
        async with (
            browsing(switch, tmp_path) as browser,
            open_page(browser, switch.url("/"), quiet=False) as left,
            open_page(browser, switch.url("/"), quiet=False) as right,
        ):
            room = await into_room(left, topology_of_room)
            await into_room(right, topology_of_room, room)
            pages = left, right
            for page in pages:
                await until(page, "softswitch.room.path?.alive && softswitch.room.peer.remoteDescription")
                await until(page, HEARS)
            before = [await page.evaluate(PAIR) for page in pages]
            dead = ", ".join(str(port) for pair in before for port in pair["ports"])
            rule = f"udp dport {{ {dead} }} drop; udp sport {{ {dead} }} drop;"
            there.run(
                "nft", f"table inet wall {{ chain on {{ type filter hook output priority 0; {rule} }}; }}"
            )
            for page, pair in zip(pages, before, strict=True):
                async with asyncio.timeout(60):
                    while {*(await page.evaluate(PAIR))["ports"]} & {*pair["ports"]}:
                        await asyncio.sleep(0.1)
                await until(page, "softswitch.room.path.alive")
                await until(page, HEARS)
            # The same connection went on: both are there, and no seat was given anew.
            assert [await page.evaluate("softswitch.room.people.size") for page in pages] == [2, 2]
            await left.click("#room-leave")

    with there.entered():
        asyncio.run(asyncio.wait_for(talk(), 90))


HEARS = """async () => {
  const { sound } = softswitch.room, bins = new Float32Array(sound.far.frequencyBinCount);
  sound.far.getFloatFrequencyData(bins);
  return Math.max(...bins) > -60;
}"""


def test_page_restarts_ice_when_the_switch_says_that_its_address_is_gone(near, tmp_path):
    switch, here, there, device = near

    async def call() -> str:
        async with (
            browsing(switch, tmp_path) as browser,
            open_page(browser, switch.url("/"), quiet=False) as page,
        ):
            await page.fill("#setup [name=greeting]", "")
            await page.evaluate("document.querySelector('#setup [name=callee]').value = 'echo'")
            await call_from(page)
            await until(page, "softswitch.session.transport.peer.connectionState === 'connected'")
            await until_heard(page, "far")
            # Its own watch would look for another path a bit later: only the word of the switch counts here.
            await page.evaluate(
                "softswitch.session.transport.path.restart = async () => {};"
                "window.told = [];"
                "softswitch.session.addEventListener('event', ({detail}) => {"
                " if (detail.event === 'error') window.told.push([detail.sender, detail.code]); })"
            )
            before = str((await page.evaluate(PAIR))["remote"])
            here.ip(f"addr del {before}/24 dev {device}")
            await until(page, "window.told.length > 0")
            assert await page.evaluate("window.told[0]") == ["media", 410]
            await until(page, "softswitch.session.transport.path.alive", seconds=20)
            async with asyncio.timeout(60):
                while (after := str((await page.evaluate(PAIR))["remote"])) == before:
                    await asyncio.sleep(0.1)
            await until_heard(page, "far")
            await page.click("#hangup")
            return f"{before} {after}"

    with there.entered():
        moved = asyncio.run(asyncio.wait_for(call(), 90))
    assert sorted(moved.split()) == [MEDIA, SPARE]
