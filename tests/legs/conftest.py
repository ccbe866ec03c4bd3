import pytest


@pytest.fixture
def loopback_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the peer, which is aiortc as it is, use 127.0.0.1 alone; we take our addresses from settings."""
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda **_: ["127.0.0.1"])
