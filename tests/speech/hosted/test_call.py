"""Hosted providers as a client uses them: a whole switch, a call over `/call`, vendors on loopback."""

import asyncio
import json
from typing import Any
from urllib.request import Request, urlopen

from tests.speech.hosted.vendor import KEY, tone
from tests.speech.hosted.vendors_asr import Cartesia, DeepgramListen
from tests.speech.hosted.vendors_tts import DeepgramSpeak
from tests.support.client import Client
from tests.support.switch import SwitchThread

TEXT = "This is spoken by a vendor."


def rows(ears: DeepgramListen, mouth: DeepgramSpeak, other: Cartesia) -> list[dict[str, object]]:
    return [
        {"name": "ears", "kind": "deepgram", "base_url": ears.base_url, "key": KEY, "account": "alice"},
        {"name": "mouth", "kind": "deepgram", "base_url": mouth.base_url, "key": KEY, "voice": "nova"},
        {"name": "other", "kind": "cartesia", "base_url": other.base_url, "key": KEY},
    ]


def get(url: str, key: str) -> str:
    with urlopen(Request(url, headers={"Authorization": f"Bearer {key}"}), timeout=20) as answer:
        return str(answer.read(), "utf-8")


async def used(switch: SwitchThread) -> Any:
    """Return what the record of the only call says of speech, once it is stored."""
    async with asyncio.timeout(60):
        while True:
            listed = json.loads(await asyncio.to_thread(get, switch.url("/calls"), "boss-key"))
            if listed["calls"]:
                return listed["calls"][0]["statistics"]["speech"]
            await asyncio.sleep(0.05)


async def test_call_speaks_and_listens_by_vendors_of_its_account(tmp_path):
    async with DeepgramListen() as ears, DeepgramSpeak() as mouth, Cartesia() as other:
        sections = {
            "speech": {"provider": rows(ears, mouth, other), "workers": 1},
            "auth": {"api_keys": ["alice:alice-key:call", "bob:bob-key:call", "boss:boss-key"]},
        }
        with SwitchThread(tmp_path, sections) as switch:
            asr = {"provider": ["ears", "other"], "language": "en-US"}
            tts = {"provider": "mouth"}
            async with Client(switch.socket_url("/call", token="alice-key")) as client:
                await client.invite(asr=asr, tts=tts, vad=False)
                await client.send("tts", text=TEXT, playId="p", endOfStream=True)
                end = await client.wait("trackEnd", lambda event: event.get("playId") == "p")
                assert abs(end["duration"] - 10 * len(TEXT)) < 150
                await client.binary(tone(600))
                said = await client.wait("asrDelta")
                assert said["text"].startswith("word1")
                keys = {event["key"] for event in client.all("metrics")}
                assert {"ttfb.tts.mouth", "completed.tts.mouth", "ttfb.asr.ears"} <= keys
                assert client.count("error") == 0
                await client.hang_up()
            usage = await used(switch)
            assert usage["mouth"] == {"characters": len(TEXT), "seconds": 0}
            assert usage["ears"]["characters"] == 0
            assert usage["ears"]["seconds"] > 0.2
            assert mouth.seen.texts == [TEXT]
            assert ears.seen.problems == mouth.seen.problems == []
            figures = await asyncio.to_thread(get, switch.url("/metrics"), "boss-key")
            assert 'softswitch_speech_provider_characters_total{account="",provider="mouth"} 27.0' in figures
            assert 'softswitch_speech_provider_requests_total{account="alice",provider="ears"} 1.0' in figures
            assert KEY not in figures

            # The other account has no "ears": its chain goes on, and it is told once.
            async with Client(switch.socket_url("/call", token="bob-key")) as client:
                await client.invite(asr=asr, tts=tts, vad=False)
                told = await client.wait("error")
                assert "'ears' is unknown (there are: builtin, mouth, other)" in told["error"]
                await client.binary(tone(600))
                await client.wait("asrDelta")
                assert client.count("error") == 1
                await client.hang_up()
            assert ears.seen.connections == 1
            assert other.seen.connections == 1
        assert not [line for line in switch.faults.lines if KEY in line]
