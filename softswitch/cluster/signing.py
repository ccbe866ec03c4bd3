"""Signature of requests between nodes: an HMAC with a time and a nonce (pure)."""

import hmac
from collections import OrderedDict
from collections.abc import Callable

WINDOW_S = 30.0
"""Largest difference of two clocks, in seconds; a nonce is remembered for twice as long."""
MOST_NONCES = 100_000
"""Nonces that are remembered. Beyond them requests are refused, since a replay could not be told."""
HEADER = "Softswitch-Node"


class Signer:
    """Signs requests and checks signatures."""

    def __init__(
        self,
        secret: str,
        node: str,
        clock: Callable[[], float],
        entropy: Callable[[int], bytes],
    ) -> None:
        """Prepare.

        Args:
            secret: Secret of all nodes.
            node: Name of this node.
            clock: Epoch seconds.
            entropy: Returns that many random bytes.
        """
        self._secret = secret.encode()
        self._node = node
        self._clock = clock
        self._entropy = entropy
        self._nonces: OrderedDict[str, float] = OrderedDict()
        self.refused = 0
        """Requests with a wrong, old or repeated signature."""

    def sign(self, subject: str, said: str = "") -> str:
        """Return the value of the header.

        Args:
            subject: What is asked for: the method and the path of HTTP, or the destination of an INVITE.
            said: What this node says of the client, such as its address; without ";".
        """
        nonce = self._entropy(12).hex()
        text = f"{self._node};{round(self._clock() * 1000)};{nonce};{said}"
        return f"{text};{self._mac(subject, text)}"

    def check(self, subject: str, value: str) -> tuple[str, str] | None:
        """Return the node that signed and what it said; None where the signature is not valid."""
        text, _, mac = value.rpartition(";")
        parts = text.split(";")
        if len(parts) != 4 or not parts[1].isdecimal() or len(parts[1]) > 15:
            self.refused += 1
            return None
        node, moment, nonce, said = parts
        now = self._clock()
        right = hmac.compare_digest(self._mac(subject, text).encode(), mac.encode("utf-8", "surrogateescape"))
        if not right or abs(int(moment) / 1000 - now) > WINDOW_S or not self._is_new(nonce, now):
            self.refused += 1
            return None
        return node, said

    def _mac(self, subject: str, text: str) -> str:
        signed = f"{subject}\n{text}".encode("utf-8", "surrogateescape")
        return hmac.new(self._secret, signed, "sha256").hexdigest()

    def _is_new(self, nonce: str, now: float) -> bool:
        while self._nonces and next(iter(self._nonces.values())) <= now:
            self._nonces.popitem(last=False)
        if nonce in self._nonces or len(self._nonces) >= MOST_NONCES:
            return False
        self._nonces[nonce] = now + 2 * WINDOW_S
        return True
