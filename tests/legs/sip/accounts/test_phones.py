"""The rounds of keep-alives: one a second while devices are registered, none while there are none."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from softswitch.legs.sip.accounts import phones as module
from softswitch.legs.sip.accounts.phones import Phones
from softswitch.settings import Sip, User
from softswitch.sip.registrar.bindings import Binding
from tests.legs.sip.accounts.test_pulse import binding


async def test_rounds_rest_until_a_device_registers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROUND_S", 0.0)
    rounds = 0

    def now() -> float:
        nonlocal rounds
        rounds += 1
        return 1000.0 * rounds

    driver: Any = SimpleNamespace(now=now)
    phones = Phones([User(name="a", password="secret")], Sip(keep_alive_s=25.0), driver, lambda flow: True)
    asked: list[Binding] = []
    keeping = asyncio.ensure_future(phones.keep_alive(asked.append))
    for _ in range(20):
        await asyncio.sleep(0)
    rested = rounds
    for _ in range(200):
        await asyncio.sleep(0)
    assert rounds == rested
    far = replace(binding(), expires_at=float("inf"))
    phones.replace("a", [far])
    async with asyncio.timeout(60):
        while not asked:
            await asyncio.sleep(0)
    assert asked == [far]
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
