"""Which addresses are known: their datagrams are handled before those of unknown ones."""

from collections.abc import Callable

from softswitch.legs.sip.accounts.phones import Phones
from softswitch.legs.sip.accounts.trunks import Trunks
from softswitch.sip.security.guard import Guard

MOST_PROVED = 10_000
"""Addresses remembered that have sent a right password; the one that did so longest ago is dropped."""
MOST_JUDGED = 4096
"""Addresses whose verdict is remembered for `FRESH_S`."""
FRESH_S = 1.0
"""Longest time for which a verdict on trunks and networks is kept, in seconds: trunks may move."""


class KnownSources:
    """Judge of source addresses: trunks, trusted networks, registered devices, earlier right passwords.

    A UDP source can be forged. A known address is therefore served first, and gets no other right.
    """

    def __init__(self, trunks: Trunks, phones: Phones, guard: Guard, clock: Callable[[], float]) -> None:
        """Prepare without any password seen.

        Args:
            trunks: trunks, known by their addresses.
            phones: registered devices.
            guard: knows the trusted networks.
            clock: monotonic seconds.
        """
        self._trunks, self._phones, self._guard, self._clock = trunks, phones, guard, clock
        self._proved: dict[str, None] = {}
        self._judged: dict[str, bool] = {}
        self._fresh_until = 0.0

    def __call__(self, host: str) -> bool:
        """Tell whether an address is known."""
        return host in self._proved or self._phones.is_from_device(host) or self._is_configured(host)

    def prove(self, host: str) -> None:
        """Remember an address that has sent a right password."""
        self._proved.pop(host, None)
        if len(self._proved) >= MOST_PROVED:
            del self._proved[next(iter(self._proved))]
        self._proved[host] = None

    def _is_configured(self, host: str) -> bool:
        """Tell whether an address is in the settings: of a trunk, or in a trusted network."""
        now = self._clock()
        if now >= self._fresh_until or len(self._judged) >= MOST_JUDGED:
            self._judged.clear()
            self._fresh_until = now + FRESH_S
        known = self._judged.get(host)
        if known is None:
            known = self._guard.trusts(host) or self._trunks.of_source(host) is not None
            self._judged[host] = known
        return known
