"""A host behind a cable that can be pulled: a namespace of its own, with a web server and a telephone."""

import asyncio
import contextlib
import re
import socket
import time
from collections.abc import AsyncIterator, Iterator
from random import Random

from tests.networks.raw_phone import RawPhone
from tests.networks.topology import Namespace, NotAllowed, Topology

NEAR, FAR = "10.77.0.1", "10.77.0.2"
RESEND_S = 0.5
PATIENCE_S = 30.0


class FarHost:
    """The host, and the namespace of the test, which is this thread's as long as `far_host` lasts."""

    def __init__(self, near: Namespace, far: Namespace, device: str) -> None:
        """Take both namespaces, and the name of the near end of the cable."""
        self._near, self._far, self._device = near, far, device

    async def pull(self) -> None:
        """Take the network away: addresses of the far host cannot be reached, what is on the way is lost."""
        await asyncio.to_thread(self._near.ip, f"link set {self._device} down")

    async def plug(self) -> None:
        """Bring the network back."""
        await asyncio.to_thread(self._near.ip, f"link set {self._device} up")

    def listening(self) -> socket.socket:
        """Return a TCP socket that listens on the far host."""
        with self._far.entered():
            return socket.create_server((FAR, 0))

    @contextlib.asynccontextmanager
    async def phone(self, sip_port: int, user: str) -> AsyncIterator["FarPhone"]:
        """Give a telephone on the far host."""
        phone = FarPhone(self._far, FAR, (NEAR, sip_port), user=user)
        try:
            yield phone
        finally:
            phone.close()


class FarPhone(RawPhone):
    """A telephone that repeats its requests, as telephones do over UDP (RFC 3261 section 17.1)."""

    async def ask(self, method: str, uri: str, body: str = "", **headers: str) -> str:
        """Send a request until it has a final response; return that."""
        text = self.request(method, uri, body, **headers)
        number = self._branch
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            with contextlib.suppress(TimeoutError):
                while not re.match(r"SIP/2.0 [2-6]", answer := await self.receive("SIP/2.0 ", RESEND_S)) or (
                    f"CSeq: {number} {method}" not in answer
                ):
                    pass
                return answer
            self.send(text)
        raise AssertionError(f"{method} has no final response in {PATIENCE_S:g} s")

    def send(self, text: str, to: tuple[str, int] | None = None) -> None:
        """Send, whether there is a network or not."""
        with contextlib.suppress(OSError):
            super().send(text, to)

    async def call_the_echo(self, chance: Random) -> bool:
        """Call the echo, listen, and hang up; return whether the sound came back."""
        uri = f"sip:echo@{NEAR}:{self.switch[1]}"
        call_id = f"{self.user}-{chance.randrange(10**9)}"
        answer = await self.ask("INVITE", uri, self.sdp(), Call_ID=call_id)
        found = re.search(r"(?m)^To: (.*)\r\n", answer)
        assert found is not None, answer
        assert answer.startswith("SIP/2.0 200 "), answer
        target = re.search(r"(?m)^Contact: <([^>]*)>", answer)
        uri = target[1] if target is not None else uri
        self.request("ACK", uri, Call_ID=call_id, To=found[1], CSeq=f"{self._branch} ACK")
        heard = await self.hears_echo(answer, PATIENCE_S)
        await asyncio.sleep(chance.uniform(0, 1))
        ended = await self.ask("BYE", uri, Call_ID=call_id, To=found[1])
        assert ended[8:11] in ("200", "481"), ended
        return heard


@contextlib.contextmanager
def far_host() -> Iterator[FarHost]:
    """Move this thread into a new namespace, joined by a cable with another, until the block ends.

    Raises:
        NotAllowed: this process may make none.
    """
    with Topology() as topology:
        near, far = topology.host("near"), topology.host("far")
        device, _ = topology.join(near, far, addresses=[f"{NEAR}/24"], other_addresses=[f"{FAR}/24"])
        with near.entered():
            yield FarHost(near, far, device)


__all__ = ["FAR", "NEAR", "FarHost", "FarPhone", "NotAllowed", "far_host"]
