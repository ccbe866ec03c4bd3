"""A leg in the client's WebSocket: the messages to its engine port."""

import pytest

from softswitch.call.interfaces import LegRequest
from softswitch.legs.websocket.leg import WebSocketEndpoint
from softswitch.media import messages as m
from tests.media.rig import Rig, sine
from tests.switch.harness import FakeEngine


@pytest.mark.parametrize("live", [None, True, False])
def test_port_is_as_live_as_the_client_says(live):
    engine = FakeEngine()
    request = LegRequest("call", "party", 1, 1, sample_rate=24000, live=live)
    WebSocketEndpoint(request, lambda _: None, engine, lambda *_: None, lambda _: None).answer()
    [port] = engine.told(m.AddFeedPort)
    assert port.live is live


def test_client_whose_connection_stalled_is_back_in_time():
    rig = Rig()
    request = LegRequest("call", "party", 1, 1, sample_rate=24000)
    endpoint = WebSocketEndpoint(request, lambda _: None, rig.engine, lambda *_: None, lambda _: None)
    endpoint.answer()
    tone = sine(480, 200.0).astype("<i2").tobytes()
    held = b""
    for tick in range(300):
        held += tone
        if not 100 <= tick < 120:
            endpoint.feed(held)
            held = b""
        rig.tick()
    fifo = rig.engine._parts.ingress.fifos[1]
    assert fifo.level <= 100 * 48
    assert rig.engine.counters["late_compressed_ms"] > 0
