"""The feed port of a leg: opened once, closed once, silent in between."""

from collections.abc import Callable

from softswitch.call.interfaces import LegRequest
from softswitch.legs.feed_port import FeedPort
from softswitch.media import messages as m

REQUEST = LegRequest("call-1", "party", 7, 1)


class Engine:
    """Records messages and audio."""

    def __init__(self) -> None:
        self.messages: list[m.Message] = []
        self.audio: list[tuple[int, bytes]] = []
        self.listeners: dict[int, Callable[[bytes], None]] = {}

    def post(self, message: m.Message) -> None:
        self.messages.append(message)

    def feed(self, port: int, data: bytes) -> None:
        self.audio.append((port, data))


def test_port_is_opened_and_closed_once() -> None:
    engine = Engine()
    port = FeedPort(engine, engine.listeners.__setitem__)
    heard: list[bytes] = []
    for _ in range(2):
        port.open(REQUEST, "pcm", 8000, on_frame=heard.append, prebuffer_ms=20, live=True)
    port.feed(b"ab")
    engine.listeners[7](b"cd")
    port.send_tones("5")
    port.post(lambda number: m.SetHeld(number, True))
    for _ in range(2):
        port.close()
    assert engine.audio == [(7, b"ab")]
    assert heard == [b"cd"]
    assert engine.messages == [
        m.AddFeedPort(7, 1, "pcm", 8000, prebuffer_ms=20, live=True),
        m.SendDigits(7, "5"),
        m.SetHeld(7, True),
        m.RemovePort(7),
    ]


def test_closed_port_drops_everything() -> None:
    engine = Engine()
    port = FeedPort(engine, engine.listeners.__setitem__)
    port.feed(b"ab")
    port.send_tones("5")
    port.post(lambda number: m.SetHeld(number, True))
    port.close()
    assert (engine.messages, engine.audio, engine.listeners) == ([], [], {})
