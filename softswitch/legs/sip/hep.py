"""Copies of all SIP messages for Homer, by HEP version 3 over UDP; without secrets, and never waiting."""

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Sequence
from ipaddress import ip_address

from softswitch.egress.address import Network, check_address, is_address
from softswitch.egress.errors import EgressRefused
from softswitch.egress.lookup import UnresolvedError
from softswitch.egress.names import SWITCH
from softswitch.egress.pin import Resolve
from softswitch.legs.sip.counters import SipCounters
from softswitch.sip.hep import encode
from softswitch.sip.trace import call_id_of, masked
from softswitch.sip.transaction.flow import Flow

logger = logging.getLogger(__name__)

LOOK_UP_S = 60.0
"""Time between two look-ups of the name of the server, seconds."""
SEND_BYTES = 1_048_576
"""Send buffer of the socket: what does not fit is dropped and counted."""


class HepSender:
    """Sends a copy of each message to one server, at addresses that the rules of `[egress]` allow."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        agent: int,
        key: str,
        allow: Sequence[Network],
        resolve: Resolve,
        counters: SipCounters,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Prepare; `run` opens the socket.

        Args:
            host: name or address of the server.
            port: its port.
            agent: number of the switch at Homer.
            key: key of the switch at Homer; "" for none.
            allow: networks of `[egress] allow`.
            resolve: resolver of names.
            counters: of all SIP legs.
            clock: epoch seconds.
        """
        self._host, self._port = host, port
        self._agent, self._key, self._allow = agent, key, allow
        self._resolve, self._counters, self._clock = resolve, counters, clock
        self._socket: socket.socket | None = None
        self._target: tuple[str, int] | None = None

    def add(self, data: bytes, flow: Flow, *, sent: bool) -> None:
        """Send a copy of a message that was received or is being sent; at once, or never.

        Args:
            data: octets of the message.
            flow: where it came from or goes to.
            sent: whether the switch sends it.
        """
        if self._socket is None or self._target is None:
            self._counters.hep_dropped += 1
            return
        packet = encode(
            masked(data).encode(),
            flow,
            sent=sent,
            at=self._clock(),
            agent=self._agent,
            key=self._key,
            correlation=call_id_of(data),
        )
        try:
            self._socket.sendto(packet, self._target)
        except OSError:
            # The buffer is full, or an ICMP error came for an earlier packet: Homer is away.
            self._counters.hep_dropped += 1
        else:
            self._counters.hep_sent += 1

    async def run(self) -> None:
        """Look the server up now and then, until cancelled."""
        try:
            while True:
                await self._look_up()
                await asyncio.sleep(LOOK_UP_S)
        finally:
            self._close()

    async def _look_up(self) -> None:
        try:
            addresses = [self._host] if is_address(self._host) else await self._resolve(self._host, SWITCH)
            address = ip_address(addresses[0].partition("%")[0])
            check_address(address, self._allow)
        except EgressRefused:
            logger.error("[sip] hep leads to an address that is not public: [egress] allow could permit it")
            self._close()
            return
        except (UnresolvedError, OSError, ValueError, IndexError) as error:
            # The address that was known is kept: the name may be back soon.
            logger.warning("the server of [sip] hep is not found", extra={"error": str(error)})
            return
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        if self._socket is None or self._socket.family != family:
            self._close()
            self._socket = socket.socket(family, socket.SOCK_DGRAM)
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
        self._target = str(address), self._port

    def _close(self) -> None:
        made, self._socket, self._target = self._socket, None, None
        if made is not None:
            made.close()
