"""A telephone on the simulated SIP network."""

import socket
from typing import Any

from tests.legs.sip.phone import HOST, Phone, sdp
from tests.support.simulated.network import SimTransports, SipNetwork


class SimPhone(Phone):
    """A phone without audio: what it is sent goes to a socket that is never read."""

    def __init__(self, network: SipNetwork, *, connects: bool = False) -> None:
        """Prepare; `start` comes next. `connects`: it speaks TCP."""
        super().__init__("tcp" if connects else "udp")
        self.transports: Any = SimTransports(network, "phone", self, connects=connects)
        self.session = ""
        self._sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sink.bind((HOST, 0))
        self.offer = sdp(self._sink.getsockname()[1])

    async def start(self) -> None:
        """Open the socket."""
        await self.transports.start()
        self.driver.start(self.transports, self)

    async def stop(self) -> None:
        """Close the sockets."""
        self.driver.stop()
        await self.transports.stop()
        self._sink.close()

    def seen(self) -> list[str]:
        """Return the names of the events so far."""
        return [type(one).__name__ for one in self.happenings]
