"""Rooms as people use them: two Chromium windows, a desk phone and a script, told apart by their tones."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Playwright, expect

from tests.browser.conftest import MIC_RATE, launch, open_page, write_wav
from tests.browser.listen import until
from tests.clients.telephony import Telephony, voice
from tests.support.baresip import RATES, Baresip
from tests.support.rooms import Rest, humming, read_recording, tones

pytestmark = [pytest.mark.client, pytest.mark.asyncio(loop_scope="package")]

LEFT_HZ, RIGHT_HZ, PHONE_HZ, SCRIPT_HZ = 470.0, 830.0, 1270.0, 1930.0
ALL_TONES = (LEFT_HZ, RIGHT_HZ, PHONE_HZ, SCRIPT_HZ)
FLOOR_DB = -50.0
SETTINGS = """
[[user]]
name = "alice"
password = "alice-secret"

[[route]]
match = "700"
to = "room:lobby"
"""
PLAIN = """() => {
  const { sound } = softswitch.room, open = sound.openMicrophone.bind(sound);
  sound.openMicrophone = () => open({ echo: false, noise: false, gain: false });
}"""
"""A browser takes a steady tone for noise, and away."""
SPECTRUM = """frequencies => {
  const { far, context } = softswitch.room.sound, bins = new Float32Array(far.frequencyBinCount);
  far.getFloatFrequencyData(bins);
  const width = context.sampleRate / far.fftSize;
  const near = hz => bins.slice(Math.round(hz / width) - 1, Math.round(hz / width) + 2);
  return frequencies.map(hz => Math.max(...near(hz)));
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def browsers(
    playwright: Playwright, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Browser, Browser]]:
    """Two Chromiums that hum differently."""
    folder = tmp_path_factory.mktemp("mics")

    def microphone(hz: float) -> Path:
        time = np.arange(10 * MIC_RATE) / MIC_RATE
        return write_wav(folder / f"{hz}.wav", 6000 * np.sin(2 * np.pi * hz * time))

    async with (
        launch(playwright, microphone(LEFT_HZ)) as left,
        launch(playwright, microphone(RIGHT_HZ)) as right,
    ):
        yield left, right


async def hears(page: Page, *wanted: float, seconds: float = 60.0) -> None:
    """Wait until a window hears these tones and no others, and goes on so for a while."""
    steady, levels = 0, []
    try:
        async with asyncio.timeout(seconds):
            while steady < 10:
                levels = await page.evaluate(SPECTRUM, list(ALL_TONES))
                heard = {hz for hz, level in zip(ALL_TONES, levels, strict=True) if level > FLOOR_DB}
                steady = steady + 1 if heard == set(wanted) else 0
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"not {wanted} but {dict(zip(ALL_TONES, levels, strict=True))}") from None


async def make(page: Page, name: str, topology: str, *, record: bool = False) -> str:
    """Make a room in a window and be in it."""
    await page.evaluate(PLAIN)
    await page.click("#tab-rooms")
    await page.fill("#room-new [name=person]", "Left")
    await page.fill("#room-new [name=name]", name)
    await page.check(f"#room-new [value={topology}]", force=True)
    if record:
        await page.check("#room-new [name=record]")
    await page.click("#room-create")
    await until(page, "softswitch.room.state === 'inside'")
    return str(await page.evaluate("softswitch.room.room"))


async def join(page: Page, room: str) -> None:
    """Join a room of the list in a window."""
    await page.evaluate(PLAIN)
    await page.click("#tab-rooms")
    await page.fill("#room-new [name=person]", "Right")
    await page.locator(f"#rooms [data-room='{room}']").get_by_role("button", name="Join").click()
    await until(page, "softswitch.room.state === 'inside'")


@pytest.mark.parametrize("topology", ["p2p", "mix"])
async def test_a_window_that_is_loaded_again_takes_its_own_seat(
    browsers: tuple[Browser, Browser], tmp_path: Path, topology: str
) -> None:
    left, right = browsers
    with Telephony(tmp_path / "data", "") as switch:
        async with open_page(left, switch.url("/")) as a, open_page(right, switch.url("/")) as b:
            room = await make(a, "Two of us", topology)
            await join(b, room)
            await expect(a.locator("#connection")).to_have_text("In a room")
            await hears(a, RIGHT_HZ)
            seat = await b.evaluate("softswitch.room.id")
            await b.reload()
            await join(b, room)
            assert await b.evaluate("softswitch.room.id") == seat
            await expect(a.locator("#room-people li")).to_have_count(2)
            await hears(a, RIGHT_HZ)
            await hears(b, LEFT_HZ)


async def test_two_windows_talk_peer_to_peer(browsers: tuple[Browser, Browser], tmp_path: Path) -> None:
    left, right = browsers
    with Telephony(tmp_path / "data", "") as switch:
        async with open_page(left, switch.url("/")) as a, open_page(right, switch.url("/")) as b:
            room = await make(a, "Two of us", "p2p")
            await join(b, room)
            await hears(a, RIGHT_HZ)
            await hears(b, LEFT_HZ)
            await expect(a.locator("#room-people [data-speaking=true] strong")).to_have_text("Right")
            await expect(a.locator("#room-topology")).to_have_text("Peer to peer")
            await a.click("#room-mute")
            await expect(b.locator("#room-people [data-muted=true] strong")).to_have_text("Left")
            await hears(b)
            await a.click("#room-mute")
            await hears(b, LEFT_HZ)
            await a.click("#room-leave")
            await expect(a.locator("#room-inside")).to_be_hidden()
            await expect(b.locator("#room-people li")).to_have_count(1)
            await b.click("#room-leave")
        async with aiohttp.ClientSession() as http:
            sessions = await Rest(switch, http).sessions(room)
            assert [session["stats"]["source"] for session in sessions] == ["client"] * 2
            assert min(session["stats"]["voice_packets_sent"] for session in sessions) > 50


@pytest.mark.slow
async def test_two_windows_a_phone_and_a_script_in_a_mixed_room(
    browsers: tuple[Browser, Browser], tmp_path: Path
) -> None:
    left, right = browsers
    with Telephony(tmp_path / "data", SETTINGS) as switch:
        account = (
            f"<sip:alice@127.0.0.1:{switch.sip_port};transport=udp>"
            ";auth_user=alice;auth_pass=alice-secret;regint=60"
        )
        phone = Baresip(tmp_path / "alice", account, voice(PHONE_HZ, RATES["g711"]), codec="g711")
        async with (
            contextlib.AsyncExitStack() as stack,
            aiohttp.ClientSession() as http,
        ):
            rest = Rest(switch, http)
            alice = await stack.enter_async_context(phone)
            await alice.registered()
            alice.command("dial", "700")
            await alice.until("CALL_ESTABLISHED")
            room = "lobby"
            status, _ = await rest.ask(
                "PATCH", f"/rooms/{room}", {"name": "Lobby", "settings": {"recording": {"enabled": True}}}
            )
            assert status == 200
            a = await stack.enter_async_context(open_page(left, switch.url("/")))
            b = await stack.enter_async_context(open_page(right, switch.url("/")))
            await a.evaluate(SPOKE)
            await join(a, room)
            await join(b, room)
            script = await stack.enter_async_context(switch.client())
            await script.invite(caller="script", callee=f"room:{room}", vad=False)
            async with humming(script, SCRIPT_HZ):
                await hears(a, RIGHT_HZ, PHONE_HZ, SCRIPT_HZ)
                await hears(b, LEFT_HZ, PHONE_HZ, SCRIPT_HZ)
                assert tones(await script.hear(2), ALL_TONES, 16000) == {LEFT_HZ, RIGHT_HZ, PHONE_HZ}
                await asyncio.sleep(2)
                await expect(a.locator("#room-people li")).to_have_count(4)
                await until(a, "window.spoke.size >= 2")
            heard_by_phone = alice.heard()
            half = heard_by_phone[-2 * RATES["g711"] :]
            assert tones(half, ALL_TONES, RATES["g711"]) == {LEFT_HZ, RIGHT_HZ, SCRIPT_HZ}
            sent = await a.evaluate(SENT)
            await a.click("#room-leave")
            await b.click("#room-leave")
            await script.hang_up()
            alice.command("hangup")
            await alice.until("CALL_CLOSED")
            sessions = await _measured(rest, room)
            assert len(sessions) == 4
            mine = next(each for each in sessions if each["participant_id"] == sent["id"])
            # The last third of a second may be on its way yet when the seat is left.
            assert mine["stats"]["voice_packets_sent"] == pytest.approx(sent["packets"], rel=0.01, abs=16)
            whole = next(path for path in sorted((switch.data / "recordings").iterdir()) if path.stem == room)
            pcm, rate = read_recording(whole)
            assert tones(pcm[0], ALL_TONES, rate) == set(ALL_TONES)
            await switch.no_calls()
        assert switch.tracebacks() == []
    with Telephony(tmp_path / "data", SETTINGS) as again:
        async with aiohttp.ClientSession() as http:
            rest = Rest(again, http)
            kept = {each["id"]: each for each in await rest.sessions(room)}
            assert kept == {each["id"]: each for each in sessions}


SPOKE = """() => {
  window.spoke = new Set();
  softswitch.room.addEventListener("change", () => {
    for (const [id, { speaking }] of softswitch.room.people) if (speaking) window.spoke.add(id);
  });
}"""
"""A steady tone is taken for noise after a while, so who has spoken is remembered."""
SENT = """async () => {
  const reports = [...(await softswitch.room.peer.getStats()).values()];
  return { id: softswitch.room.id, packets: reports.find(({ type }) => type === "outbound-rtp").packetsSent };
}"""


async def _measured(rest: Rest, room: str) -> list[dict[str, Any]]:
    async with asyncio.timeout(60):
        while True:
            sessions = await rest.sessions(room)
            if all(each["stats"]["source"] == "switch" and "end_time" in each for each in sessions):
                return sessions
            await asyncio.sleep(0.2)
