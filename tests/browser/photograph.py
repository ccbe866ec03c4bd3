"""Photographs of every view of the page, for people to look at: four widths, two themes, three languages.

    python -m tests.browser.photograph FOLDER [--locale de-DE] [--views calls,admin] [--widths 360,1280]

The switch is the one that pretends, filled with what a small company would have.
"""

import argparse
import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, Page, async_playwright

from tests.browser.conftest import launch, write_wav
from tests.browser.fake_switch import FakeSwitch
from tests.browser.listen import call_from, until
from tests.browser.test_console import QUALITY, TRACE
from tests.browser.test_page import only_call, stereo_wav

WIDTHS = (360, 768, 1280, 1920)
THEMES = ("light", "dark")
HEIGHTS = {360: 760, 768: 1024, 1280: 800, 1920: 1080}
HOUR_MS = 3_600_000
NUMBERS = ("+49 30 901820", "+49 89 2335680", "+43 1 58858", "+41 44 2673900", "+86 10 65280000")
ENDS = ("caller", "callee", "no_answer", "busy", "caller", "rejected", "callee", "media_timeout")
TALK = (
    ("near", 1.2, 3.6, "Good morning, I should like to move my appointment to Thursday afternoon."),
    ("far", 4.1, 6.0, "Of course. Would half past three suit you?"),
    ("near", 6.6, 7.6, "That would be perfect, thank you."),
    ("far", 8.0, 9.5, "Then see you on Thursday. Goodbye!"),
)


def iso(ms: float) -> str:
    """Return a time as the switch writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms / 1000)) + f".{int(ms % 1000):03d}Z"


def fill(fake: FakeSwitch) -> None:
    """Give the switch the users, trunks, calls and figures of a small company."""
    now = time.time() * 1000
    kept = {"source": "database", "read_only": False, "secrets": ["password"]}
    for name, agent in (("anna", "Yealink SIP-T54W 96.86.0.70"), ("bernd", "baresip v3.10.1"), ("chen", "")):
        contact = {"address": "192.0.2.17:5060", "transport": "udp", "expires_s": 44, "user_agent": agent}
        fake.users.append(
            {"name": name, "caller_id": "+493090182011", **kept, "registered": bool(agent)}
            | {"contacts": [contact] if agent else []}
        )
    fake.users.append(
        {"name": "reception", "registered": False, "contacts": [], "source": "file"} | {"read_only": True}
    )
    trunk = {"engine": "builtin", "code": 200, "reason": "OK", "calls": 2, "max_calls": 30, **kept}
    fake.trunks += [
        trunk
        | {"name": "carrier", "state": "registered", "server": "tls:203.0.113.9:5061"}
        | {"servers": ["sip.carrier.example;transport=tls"], "username": "493090182000"},
        trunk
        | {"name": "branch-vienna", "state": "failed", "code": 403, "reason": "Forbidden", "calls": 0}
        | {"server": "udp:198.51.100.20:5060", "servers": ["198.51.100.20"], "username": "berlin"},
    ]
    entries = fake.administration.entries
    entries["queues"].append(
        {"name": "support", "users": ["anna", "bernd", "chen"], "timeout_to": "voicemail:anna", **kept}
    )
    entries["routes"] += [
        {"name": "main-number", "match": "493090182000", "to": "queue:support", "trunk": "carrier", **kept},
        {
            "name": "outside",
            "match": "0(.+)",
            "to": "trunk:carrier",
            "further": ["trunk:branch-vienna"],
            **kept,
        },
        {
            "name": "night",
            "match": "493090182099",
            "to": "agent:night",
            "fault": "agent night is not in the settings",
            **kept,
        },
    ]
    entries["providers"].append(
        {
            "name": "cloud",
            "kind": "openai",
            "base_url": "https://api.example.com/v1",
            "voice": "alloy",
            "language": "de-DE",
            **kept,
        }
    )
    entries["webhooks"].append(
        {"name": "crm", "url": "https://crm.example.com/hooks/softswitch/incoming-call", **kept}
    )
    entries["keys"] += [
        {"name": "operator", "scopes": ["admin", "call"], "account": "", "expires": None, **kept},
        {"name": "crm", "scopes": ["call"], "account": "crm", "expires": "2030-06-30T00:00:00Z", **kept},
    ]
    for at, (action, kind, name) in enumerate(
        (
            ("create", "key", "operator"),
            ("create", "trunk", "carrier"),
            ("change", "user", "anna"),
            ("delete", "route", "test"),
        )
    ):
        after = {"caller_id": "+493090182011", "nat": "auto"} if action == "change" else None
        fake.administration.changes.append(
            {
                "at": iso(now - (9 - at) * HOUR_MS),
                "who": "operator",
                "address": "192.0.2.1",
                "action": action,
                "kind": kind,
                "name": name,
            }
            | {"before": {"caller_id": "", "nat": "auto"} if after else None, "after": after}
        )
    for at in range(24):
        load = math.sin(math.pi * at / 24)
        hour = int(now // HOUR_MS - 23 + at) * HOUR_MS
        fake.hours.append(
            {"at": hour, "answered": round(34 * load), "failed": round(6 * load), "setupMs": 900}
            | {"reasons": {"busy": round(2 * load), "no_answer": round(3 * load), "rejected": round(load)}}
        )
    fake.quality.append(
        {
            "name": "carrier",
            "mos": 4.3,
            "loss_percent": 0.1,
            "far_loss_percent": 0.2,
            "jitter_ms": 4.1,
            "round_trip_ms": 23.0,
            "intervals": 40,
        }
    )
    fake.metrics = "process_resident_memory_bytes 1.62e8\nsoftswitch_sip_devices 2\n" + "".join(
        f'softswitch_answer_seconds_bucket{{le="{le}"}} {count}\n'
        f'softswitch_media_tick_seconds_bucket{{le="{tick}"}} {count}\n'
        f'softswitch_speech_seconds_bucket{{stage="ttfb.tts",le="{le}"}} {count}\n'
        for le, tick, count in ((0.1, 0.002, 40), (0.5, 0.004, 290), ("+Inf", "+Inf", 300))
    )
    began = int(now - 2 * HOUR_MS)
    for at in range(14):
        answered = ENDS[at % len(ENDS)] in ("caller", "callee", "media_timeout")
        row = {
            "id": f"0b7d8c5{at:x}-5d0e-4c56-9d43-6f3a2f0d1c{at:02x}",
            "type": "sip" if at % 3 else "webrtc",
            "direction": "inbound",
            "caller": NUMBERS[at % len(NUMBERS)],
            "callee": ("anna", "+49 30 90182000", "bernd")[at % 3],
            "createdAt": iso(began - at * 1_700_000),
            "durationMs": 71_000 + 13_700 * at if answered else 0,
            "reason": ENDS[at % len(ENDS)],
            "trunk": "carrier" if at % 3 else "",
            "user": "anna" if at % 2 else "",
            "codec": "opus",
            "recording": "",
        } | ({"answeredAt": iso(began - at * 1_700_000 + 4200)} if answered else {})
        fake.past.append(row)
    call = fake.past[0]
    talked = began + 4200
    lines: list[dict[str, Any]] = [{"at": talked, "event": {"event": "answer"}}]
    for at, (who, begin, end, text) in enumerate(TALK):
        first, last, play = talked + begin * 1000, talked + end * 1000, {"playId": str(at)}
        if who == "near":
            lines += [
                {"at": first, "event": {"event": "speaking", "startTime": first}},
                {"at": last, "event": {"event": "silence"}},
                {"at": last, "event": {"event": "asrFinal", "text": text, "startTime": first}},
            ]
        else:
            lines += [
                {"at": first, "command": {"command": "tts", "text": text, **play}},
                {"at": first, "event": {"event": "trackStart", **play}},
                {"at": last, "event": {"event": "trackEnd", "duration": last - first, **play}},
            ]
    lines.append({"at": talked + 10_000, "event": {"event": "hangup", "reason": "caller"}})
    call |= {"sip": True, "quality": [QUALITY], "recording": f"{call['id']}.wav", "durationMs": 10_000}
    call["endedAt"] = iso(talked + 10_000)
    call["statistics"] = {
        "party": {
            "packets_received": 502,
            "packets_lost": 3,
            "jitter_ms": 4.2,
            "round_trip_ms": 23.4,
            "mos": 4.3,
        }
    }
    fake.past[0] = call
    fake.dumps[call["id"]] = lines
    fake.traces[call["id"]] = TRACE
    for row in fake.past[:4]:
        row["recording"] = f"{row['id']}.wav"
        fake.recordings[str(row["recording"])] = stereo_wav()
    for at, heard in enumerate((False, True)):
        fake.voicemail.append(
            {
                "id": f"m{at}",
                "user": "anna",
                "caller": NUMBERS[at],
                "createdAt": iso(began - at * HOUR_MS),
                "durationMs": 24_000,
                "heard": heard,
            }
        )
        fake.recordings[f"m{at}"] = stereo_wav()
    fake.rooms_open += [
        {
            "id": "7b0e3f2c-9a40-4c1f-8f8e-2a3d5c1b6e90",
            "name": "Monday meeting",
            "status": "active",
            "participants_count": 4,
        },
        {
            "id": "15e0a4d1-7c3b-4b52-9f10-0d9c8b7a6f5e",
            "name": "Interview",
            "status": "waiting",
            "participants_count": 1,
        },
    ]
    live = {
        "call_type": "sip",
        "direction": "inbound",
        "trunk": "carrier",
        "option": {},
        "created_at": iso(now - 95_000),
        "state": "up",
        "recording": "off",
    }
    fake.pending |= {
        "c1": live | {"id": "c1", "state": "ringing", "caller": NUMBERS[1], "callee": "+49 30 90182000"},
        "c2": live | {"id": "c2", "caller": NUMBERS[0], "callee": "anna", "recording": "on"},
        "c3": live | {"id": "c3", "caller": "bernd", "callee": "0043158858"},
    }
    fake.queues.append(
        {
            "name": "support",
            "users": ["anna", "bernd", "chen"],
            "free": ["bernd"],
            "waiting": 1,
            "answered": 41,
        }
        | {"callers": [{"id": "q", "caller": NUMBERS[2], "ringing": "bernd"}], "abandoned": 3, "timedOut": 1}
        | {"meanWaitMs": 21_000, "longestWaitMs": 148_000}
    )
    watched = {
        "durationMs": 95_000,
        "direction": "inbound",
        "user": "anna",
        "trunk": "carrier",
        "supervisors": [],
    }
    fake.supervised += [
        watched | {"id": "c2", "caller": NUMBERS[0], "callee": "anna"},
        watched
        | {
            "id": "c3",
            "caller": "bernd",
            "callee": "0043158858",
            "direction": "outbound",
            "supervisors": [{"id": "b"}],
        },
    ]


Shot = Callable[[Page, FakeSwitch], Awaitable[None]]


def view(name: str, wait: str = "") -> Shot:
    """Return a shot that opens a view."""

    async def show(page: Page, _fake: FakeSwitch) -> None:
        await page.click(f"#tab-{name}")
        if wait:
            await page.wait_for_selector(wait)

    return show


def admin(kind: str) -> Shot:
    """Return a shot that opens a tab of the administration."""

    async def show(page: Page, _fake: FakeSwitch) -> None:
        await page.click("#tab-admin")
        await page.click(f"#tab-admin-{kind}")
        await page.wait_for_selector(f"#list-{kind} li")

    return show


def entry(kind: str) -> Shot:
    """Return a shot with the form of a new entry, everything unfolded."""

    async def show(page: Page, fake: FakeSwitch) -> None:
        await admin(kind)(page, fake)
        await page.click(f"#add-{kind}")
        if await page.locator("#entry-form summary").count():
            await page.click("#entry-form summary")

    return show


async def welcome(page: Page, _fake: FakeSwitch) -> None:
    """Show the first visit."""
    await page.click("#welcome-open")


async def talking(page: Page, fake: FakeSwitch) -> None:
    """Be in a call that has gone on for a while."""
    await call_from(page, "WebSocket")
    call = only_call(fake)
    for at, (who, _begin, _end, text) in enumerate(TALK):
        if who == "near":
            now = time.time() * 1000
            await call.emit("asrFinal", index=at, startTime=now - 2000, endTime=now - 310, text=text)
        else:
            await call.emit("addHistory", sender="bot", text=text)
    await call.emit("asrDelta", index=9, startTime=1, endTime=2, text="and one more thing")
    await call.emit("interruption", playId="greeting", position=900)
    await page.keyboard.press("5")
    await asyncio.sleep(1.5)


async def supervising(page: Page, fake: FakeSwitch) -> None:
    """Whisper into a call."""
    await page.get_by_text("WebSocket", exact=True).click()
    await page.click("#tab-overview")
    await page.locator("#supervise-calls [data-supervise='whisper c2']").click()
    await until(page, "softswitch.session.state === 'connected'")
    call = only_call(fake)
    await call.emit("supervision", state="started", mode="listen", targetSessionId="c2")
    await call.emit("supervision", state="changed", mode="whisper", targetSessionId="c2")
    await call.emit("levels", first=-20, second=-38, targetSessionId="c2")
    for at, (who, _begin, _end, text) in enumerate(TALK):
        side = "first" if who == "near" else "second"
        await call.emit("overheard", side=side, index=at, text=text, final=at < 3, targetSessionId="c2")
    await page.wait_for_selector("#supervise-words li:nth-child(4)")


async def detail(page: Page, fake: FakeSwitch) -> None:
    """Open a call of the past."""
    await page.click("#tab-calls")
    await page.locator("#past li a").first.click()
    await page.wait_for_selector("#detail-ladder .message")
    await until(page, "document.getElementById('detail-audio').duration > 1")


async def playing(page: Page, _fake: FakeSwitch) -> None:
    """Open a recording."""
    await page.click("#tab-recordings")
    await page.locator("#recordings li .round").first.click()
    await until(page, "document.getElementById('player-audio').currentTime > 0.2")


async def options(page: Page, _fake: FakeSwitch) -> None:
    """Open the dialog with all options."""
    await page.click("#setup details:last-of-type summary")
    await page.click("#options-open")


async def key(page: Page, _fake: FakeSwitch) -> None:
    """Open the dialog of the key."""
    await page.click("#key-open")


async def nothing(page: Page, _fake: FakeSwitch) -> None:
    """Leave the first view as it is."""


SHOTS: dict[str, Shot] = {
    "welcome": welcome,
    "talk": nothing,
    "talking": talking,
    "overview": view("overview", "#overview-trunks li"),
    "supervising": supervising,
    "phones": view("phones", "#users li"),
    "rooms": view("rooms", "#rooms li"),
    "calls": view("calls", "#past li"),
    "detail": detail,
    "recordings": playing,
    **{
        f"admin-{kind}": admin(kind)
        for kind in ("users", "trunks", "queues", "routes", "providers", "webhooks", "keys", "audit")
    },
    **{f"new-{kind}": entry(kind) for kind in ("users", "trunks", "routes", "keys")},
    "options": options,
    "key": key,
}
EMPTY: dict[str, Shot] = {
    f"empty-{name}": view(name) for name in ("overview", "phones", "rooms", "calls", "recordings", "admin")
}


async def photograph(browser: Browser, folder: Path, args: argparse.Namespace) -> None:
    """Photograph the shots that were asked for."""
    for name, shot in (SHOTS | EMPTY).items():
        if args.views and not any(name.startswith(one) for one in args.views.split(",")):
            continue
        for width in args.widths:
            for theme in args.themes.split(","):
                fake = FakeSwitch()
                if name in SHOTS:
                    fill(fake)
                async with TestServer(fake.app, host="127.0.0.1") as server:
                    context = await browser.new_context(
                        viewport={"width": width, "height": HEIGHTS.get(width, 900)},
                        color_scheme=theme,
                        locale=args.locale,
                        reduced_motion="reduce",
                    )
                    page = await context.new_page()
                    await page.goto(str(server.make_url("/")))
                    await page.evaluate("localStorage.setItem('softswitch.welcomed', '1')")
                    await page.reload()
                    await shot(page, fake)
                    await page.evaluate("scrollTo(0, 0)")
                    await asyncio.sleep(0.5)
                    wide = await page.evaluate("document.documentElement.scrollWidth")
                    if wide > width:
                        print(f"{name} at {width}: {wide} px wide")  # noqa: T201
                    dialog = await page.locator("dialog[open]").count()
                    path = folder / f"{name}-{width}-{theme}.png"
                    await page.screenshot(path=path, full_page=not dialog)
                    await context.close()


async def main() -> None:
    """Read the arguments and take the photographs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--locale", default="en-GB")
    parser.add_argument("--views", default="", help="beginnings of names of shots")
    parser.add_argument("--widths", default=WIDTHS, type=lambda text: [int(one) for one in text.split(",")])
    parser.add_argument("--themes", default=",".join(THEMES))
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    quiet = write_wav(args.folder / "microphone.wav", np.zeros(48000))
    async with async_playwright() as playwright, launch(playwright, quiet) as browser:
        await photograph(browser, args.folder, args)


if __name__ == "__main__":
    asyncio.run(main())
