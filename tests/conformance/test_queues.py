"""Queues with phones that have audio: music, a user who answers, and figures."""

from collections.abc import Iterator

import aiohttp
import pytest

from softswitch.sip import events as hp
from tests.conformance.test_waiting import is_music
from tests.support.ports import free_port
from tests.support.speakers import is_tone, speakers
from tests.support.switch import SwitchThread

KEYS = ["one:key-of-account-one:call", "two:key-of-account-two:call"]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwitchThread]:
    sections = {
        "sip": {"port": free_port()},
        "auth": {"api_keys": KEYS},
        "user": [{"name": name, "password": "secret"} for name in ("anna", "bert", "carl")],
        "queue": [{"name": "sales", "users": ["bert", "carl"], "position": "", "accounts": ["one"]}],
        "route": [{"match": "600", "to": "queue:sales", "account": "one"}],
    }
    with SwitchThread(tmp_path_factory.mktemp("queues"), sections) as made:
        yield made
        made.check()


async def queues(switch: SwitchThread, key: str) -> list[dict[str, object]]:
    async with (
        aiohttp.ClientSession() as http,
        http.get(switch.url("/queues"), headers={"Authorization": f"Bearer {key}"}) as response,
    ):
        found: list[dict[str, object]] = (await response.json())["queues"]
        return found


async def test_caller_hears_music_until_a_user_answers(guarded: SwitchThread) -> None:
    port = guarded.settings.sip.port
    async with speakers(("anna", 1100.0), ("bert", 1500.0), ("carl", 1900.0)) as (anna, bert, carl):
        await anna.far.register(port, "anna", "secret")
        await anna.call(port, "600")
        await anna.until(is_music, 1.0, "music")
        (shown,) = await queues(guarded, "key-of-account-one")
        assert (shown["waiting"], shown["free"]) == (1, [])
        assert [caller["caller"] for caller in shown["callers"]] == ["anna"]  # type: ignore[attr-defined]
        assert await queues(guarded, "key-of-account-two") == []
        await bert.far.register(port, "bert", "secret")
        rung = await bert.far.until(hp.Invited)
        await carl.far.register(port, "carl", "secret")
        bert.far.do("reject", rung.session, 486)
        await carl.take()
        await anna.until(is_tone(1900.0), 0.4, "voice of the user")
        await carl.until(is_tone(1100.0), 0.4, "voice of the caller")
        (shown,) = await queues(guarded, "key-of-account-one")
        assert (shown["waiting"], shown["answered"], shown["ringsMissed"]) == (0, 1, 1)
        carl.far.do("bye", carl.session)
        await anna.far.until(hp.Ended)
