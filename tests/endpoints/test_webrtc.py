import asyncio

import pytest

from softswitch.call.reports import LegAnswered
from softswitch.media.messages import AddRtpPort, ConnectSecure, RemovePort
from tests.endpoints.rtc import Far, bench, until


@pytest.fixture(autouse=True)
def _far_end_on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda **_: ["127.0.0.1"])


async def test_leg_answers_connects_and_keys_its_port() -> None:
    async with bench() as place:
        far = Far()
        leg, answer = await place.answered(await far.offer())
        assert isinstance(answer, LegAnswered)
        assert (answer.codec, answer.sample_rate) == ("opus", 48000)
        await far.accept(answer.sdp)
        await until(lambda: bool(place.engine.of(ConnectSecure)) and far.state == "connected")
        assert far.state == "connected"
        await until(lambda: len(place.engine.plain) > 10)
        assert len(place.engine.plain) > 10
        [opened] = place.engine.of(AddRtpPort)
        assert opened.rtp.send.name == "opus"
        leg.hangup()
        await leg.closed()
        assert place.engine.of(RemovePort) == [RemovePort(1)]
        assert place.endpoints.legs == 0
        await far.close()
