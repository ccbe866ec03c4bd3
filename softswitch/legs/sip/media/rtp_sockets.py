"""Pool of socket pairs for RTP and RTCP, with a rest time for ports that were just closed."""

import errno
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from random import Random

from softswitch.errors import NotNowError
from softswitch.legs.datagrams.icmp import allow_fragments

REST_S = 30.0
"""Time before the ports of a closed pair are used again, in seconds: their last peer may still send."""

_TRIES = 64
"""Pairs that are tried for one leg; another program may use some of them."""

_BUFFER = 65536
"""Octets of a receive buffer: a second of G.711, with the kernel's own overhead."""


@dataclass(slots=True, eq=False)
class RtpPair:
    """Two sockets on adjacent ports (RFC 3550 section 11): RTP on the even one, RTCP on the odd one."""

    rtp: socket.socket
    rtcp: socket.socket
    port: int
    """The even port."""

    @property
    def family(self) -> int:
        """Return the IP version, 4 or 6."""
        return 6 if self.rtp.family == socket.AF_INET6 else 4


class RtpSockets:
    """Pool of socket pairs from a range of ports."""

    def __init__(
        self, host: str, port_min: int, port_max: int, random: Random, clock: Callable[[], float]
    ) -> None:
        """Set the range up.

        Args:
            host: numeric address to bind to; "::" means all of both families.
            port_min: first port of the range.
            port_max: last port of the range, that of RTCP included.
            random: shuffles the ports.
            clock: monotonic seconds.
        """
        self.host = host
        self._family = socket.AF_INET6 if ip_address(host).version == 6 else socket.AF_INET
        self._clock = clock
        first = port_min + port_min % 2
        self._free = deque(range(first, port_max, 2))
        # Random order, so that the port of the next call cannot be guessed from that of the last one.
        random.shuffle(self._free)
        self._resting: deque[tuple[float, int]] = deque()
        self._taken: set[int] = set()
        self.opened = self.refused = 0
        """Pairs opened, and requests without a free pair."""

    def open(self) -> RtpPair:
        """Return a bound pair of sockets.

        Raises:
            NotNowError: no pair is free.
        """
        self._wake()
        for _ in range(min(_TRIES, len(self._free))):
            port = self._free.popleft()
            try:
                pair = self._bind(port)
            except OSError as error:
                if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                    self._free.append(port)
                    self.refused += 1
                    raise NotNowError(f"no media socket can be opened: {error.strerror}") from error
                self._rest(port)
                continue
            self._taken.add(port)
            self.opened += 1
            return pair
        self.refused += 1
        raise NotNowError("no media port is free: widen [rtp] port_min to port_max", retry_after_s=REST_S)

    def close(self, pair: RtpPair) -> None:
        """Close a pair, and let its ports rest."""
        pair.rtp.close()
        pair.rtcp.close()
        if pair.port in self._taken:
            self._taken.remove(pair.port)
            self._rest(pair.port)

    @property
    def in_use(self) -> int:
        """Return the number of open pairs."""
        return len(self._taken)

    @property
    def available(self) -> int:
        """Return the number of pairs that could be opened now."""
        self._wake()
        return len(self._free)

    def _rest(self, port: int) -> None:
        self._resting.append((self._clock() + REST_S, port))

    def _wake(self) -> None:
        now = self._clock()
        while self._resting and self._resting[0][0] <= now:
            self._free.append(self._resting.popleft()[1])

    def _bind(self, port: int) -> RtpPair:
        rtp = self._socket(port)
        try:
            return RtpPair(rtp, self._socket(port + 1), port)
        except OSError:
            rtp.close()
            raise

    def _socket(self, port: int) -> socket.socket:
        made = socket.socket(self._family, socket.SOCK_DGRAM)
        try:
            made.setblocking(False)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            allow_fragments(made)
            if self._family == socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(self.host != "::"))
            made.bind((self.host, port))
        except OSError:
            made.close()
            raise
        return made
