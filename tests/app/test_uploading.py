"""The upload of recordings by a running switch."""

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp

from tests.support import sound
from tests.support.client import Client
from tests.support.storage import Storage
from tests.support.switch import SwitchThread


async def test_recording_of_a_call_is_in_the_bucket_after_it(tmp_path: Path) -> None:
    async with Storage() as storage:
        upload = {
            "endpoint": storage.url,
            "bucket": "calls",
            "prefix": "{account}/",
            "key": storage.key,
            "secret": storage.secret,
        }
        storage.answers = [503]
        keys = ["shop:key-of-the-shop:call", "boss:key-of-the-boss:admin"]
        sections = {"upload": upload, "auth": {"api_keys": keys}}
        with SwitchThread(tmp_path / "data", sections, {"token": "key-of-the-shop"}) as switch:
            async with Client(switch.socket_url("/call")) as client:
                await client.send("invite", option={"recorder": True, "vad": False})
                await client.wait("answer")
                await client.wait("recording")
                await client.speak(sound.tone(440, 1.0))
                await client.hang_up()
            [entry] = await uploaded(switch)
            [(path, body)] = storage.objects.items()
            assert path == f"/calls/shop/{entry['name']}"
            assert entry["uploadUrl"] == storage.url + path
            assert body.startswith(b"RIFF")
            assert storage.refused == []
            metrics = await ask(switch, "/metrics")
            assert 'softswitch_uploads_total{result="retried"} 1.0' in metrics
            assert 'softswitch_uploads_total{result="uploaded"} 1.0' in metrics


async def test_object_goes_with_its_recording_once_the_storage_deletes(tmp_path: Path) -> None:
    async with Storage() as storage:
        upload = {"endpoint": storage.url, "bucket": "calls", "key": storage.key, "secret": storage.secret}
        keys = ["shop:key-of-the-shop:call", "boss:key-of-the-boss:admin"]
        sections = {"upload": upload, "auth": {"api_keys": keys}}
        with SwitchThread(tmp_path / "data", sections, {"token": "key-of-the-shop"}) as switch:
            async with Client(switch.socket_url("/call")) as client:
                await client.send("invite", option={"recorder": True, "vad": False})
                await client.wait("recording")
                await client.speak(sound.tone(440, 1.0))
                await client.hang_up()
            await uploaded(switch)
            assert len(storage.objects) == 1
            storage.answers = [503]
            headers = {"Authorization": "Bearer key-of-the-boss"}
            async with (
                aiohttp.ClientSession(headers=headers) as session,
                session.post(
                    switch.url("/admin/forget").partition("?")[0], json={"account": "shop"}
                ) as response,
            ):
                said = await response.json()
            assert (said["recordings"], said["objects"], said["objectsLeft"]) == (1, 1, 0)
            async with asyncio.timeout(60):
                while storage.objects:
                    await asyncio.sleep(0.05)
            assert storage.refused == []
            metrics = await ask(switch, "/metrics")
            assert 'softswitch_upload_removals_total{result="retried"} 1.0' in metrics
            async with asyncio.timeout(60):
                while 'softswitch_upload_removals_total{result="deleted"} 1.0' not in metrics:
                    metrics = await ask(switch, "/metrics")


async def ask(switch: SwitchThread, path: str) -> str:
    headers = {"Authorization": "Bearer key-of-the-boss"}
    url = switch.url(path).partition("?")[0]
    async with aiohttp.ClientSession(headers=headers) as session, session.get(url) as response:
        assert response.status == 200
        return await response.text()


async def uploaded(switch: SwitchThread) -> list[dict[str, Any]]:
    """Return the recordings once they are uploaded."""
    async with asyncio.timeout(60):
        while True:
            found: list[dict[str, Any]] = json.loads(await ask(switch, "/recordings"))["recordings"]
            if found and all(one["upload"] == "uploaded" for one in found):
                return found
            await asyncio.sleep(0.1)
