import socket
import threading
from collections.abc import Iterator

import pytest

from softswitch.cli.checks import relays
from softswitch.cli.checks.finding import Verdict
from softswitch.legs.webrtc.ice import IceUrl
from softswitch.settings import Ice, IceServer, Settings


@pytest.fixture
def stun() -> Iterator[int]:
    """Run a STUN server that knows one answer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)

        def answer() -> None:
            request, sender = server.recvfrom(2048)
            server.sendto(b"\x01\x01" + request[2:20], sender)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(10)


def test_nothing_configured_is_nothing_to_look_at():
    assert relays.check(Settings()) == []


def test_stun_server_that_answers_is_fine(stun):
    (finding,) = relays.check(Settings(ice=Ice(stun=(f"stun:127.0.0.1:{stun}",))))
    assert finding.verdict == Verdict.OK


def test_stun_server_that_is_silent_fails(monkeypatch):
    monkeypatch.setattr(relays, "TIMEOUT_S", 0.3)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        url = IceUrl("stun", "127.0.0.1", silent.getsockname()[1], "udp")
        with pytest.raises(OSError, match="no response within"):
            relays.bind(url)


@pytest.mark.parametrize(
    ("url", "verdict"),
    [
        ("http://example.org", Verdict.FAIL),
        ("turn:127.0.0.1:1?transport=tcp", Verdict.FAIL),
        ("turns:127.0.0.1:1?transport=udp", Verdict.OK),
    ],
)
def test_other_servers_are_judged_without_breaking(url, verdict):
    (finding,) = relays.check(Settings(ice=Ice(server=(IceServer((url,), "user", "word"),))))
    assert finding.verdict == verdict
