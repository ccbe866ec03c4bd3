"""Interface of the SIP transports: sockets of this process, or those of its supervisor."""

from collections.abc import Callable
from typing import Protocol

from softswitch.legs.sip.transports.websocket import Receive, Send
from softswitch.sip.transaction.flow import Flow


class SipTransports(Protocol):
    """All SIP transports together, as the user agent and its filter use them."""

    def send(self, data: bytes, to: Flow, failed: Callable[[], None]) -> None:
        """Send a message by a flow; ``failed`` is called once, now or later, where that is not possible."""

    def set_server_name(self, host: str, name: str) -> None:
        """Set the name that the certificate of the TLS server at an address must match."""

    def is_open(self, flow: Flow) -> bool:
        """Tell whether a flow can still carry a message."""

    def ping(self, host: str, port: int) -> None:
        """Send a keep-alive to a UDP peer, so that NAT bindings stay open."""

    def catch_up(self) -> float:
        """Read the messages that wait, for one turn; return the age in seconds of those left."""

    def on_wait(self, waited: Callable[[float], None]) -> None:
        """Set the callback that gets the time that datagrams wait, in seconds."""

    def on_proof(self, flow: Flow) -> None:
        """Let a WebSocket stay whose phone has authenticated."""

    async def serve_websocket(
        self, receive: Receive, send: Send, peer: tuple[str, int], *, secure: bool = False
    ) -> None:
        """Serve a WebSocket until it ends; one beyond the limits returns at once."""

    async def stop(self) -> None:
        """Close everything."""

    @property
    def port(self) -> int:
        """Return the port of UDP and TCP; 0 before `start`."""

    @property
    def tls_port(self) -> int:
        """Return the port of TLS; 0 without TLS."""

    @property
    def age_s(self) -> float:
        """Return the time that the last datagram waited, in seconds."""

    @property
    def failures(self) -> int:
        """Return the number of background tasks that ended with an unexpected exception."""

    def __len__(self) -> int:
        """Return the number of open connections."""
