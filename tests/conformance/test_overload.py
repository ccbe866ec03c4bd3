"""A switch that is overloaded: what its clients are told, and what stands."""

import aiohttp
import pytest

from softswitch.app import SWITCH
from softswitch.call.admission import Admission
from tests.conformance.conftest import StartSwitch
from tests.support.client import calling
from tests.support.switch import SwitchThread


class Full(Admission):
    """An admission that takes no call."""

    def __init__(self) -> None:
        super().__init__()
        self.is_shedding = True

    def look(self, signs: object, now: float) -> None:
        """Stay as it is."""

    def admits(self, now: float) -> bool:
        self.refused += 1
        return False


async def test_new_calls_are_refused_before_any_work_and_standing_ones_go_on(
    start_switch: StartSwitch, http: aiohttp.ClientSession
) -> None:
    switch = start_switch({"limits": {"overload": True}})
    assert isinstance(switch, SwitchThread)
    assert switch.app is not None
    async with calling(switch.socket_url("/call", id="standing"), vad=False) as client:
        switch.app[SWITCH].resources.pressure.admission = Full()
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(switch.socket_url("/call"))
        assert refused.value.status == 503
        assert refused.value.headers is not None
        assert int(refused.value.headers["Retry-After"]) >= 3
        body = {"from": "100", "to": "echo"}
        async with http.post(switch.url("/v1/call"), json=body) as answer:
            assert answer.status == 503
            assert int(answer.headers["Retry-After"]) >= 3
        async with http.get(switch.url("/readyz")) as answer:
            assert (answer.status, (await answer.json())["faults"]) == (503, ["overload"])
        async with http.get(switch.url("/metrics")) as answer:
            text = await answer.text()
        assert "softswitch_overload_active 1.0" in text
        assert "softswitch_overload_calls_refused_total 2.0" in text
        assert 'softswitch_calls_refused_total{reason="overload"} 2.0' in text
        await client.send("mark", name="alive")
        await client.wait("mark")
        switch.app[SWITCH].resources.pressure.admission = Admission()
        async with calling(switch.socket_url("/call", id="after"), vad=False) as other:
            await other.hang_up()
        await client.hang_up()
