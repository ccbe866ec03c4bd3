"""The addresses of this machine while the switch runs: whether callers can reach it, and what has changed."""

import ipaddress
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping

from softswitch.legs.network_changes import NetworkChanges, machine_addresses
from softswitch.settings import Settings, is_loopback

logger = logging.getLogger(__name__)

TOLD_S = 600.0
"""How long `/readyz` and doctor tell of a change, in seconds."""
MAX_TOLD = 8
"""Changes that are told at once."""

Found = frozenset[str]
Follower = Callable[[Found], None]


class AddressWatch:
    """What `/readyz`, doctor and the legs have to know of this machine's addresses."""

    def __init__(
        self,
        settings: Settings,
        on_changed: Follower = lambda present: None,
        *,
        find: Callable[[], Found] = machine_addresses,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Look once.

        Args:
            settings: which addresses are bound: sections [http], [sip], [rtp], [ice].
            on_changed: called with the present addresses whenever they have changed.
            find: returns the addresses of all interfaces.
            clock: monotonic seconds.
        """
        self._find, self._clock = find, clock
        self._found = find()
        self._changes: deque[tuple[float, str]] = deque(maxlen=MAX_TOLD)
        self._fixed = _fixed(settings)
        hosts = [settings.http.host, settings.rtp.host]
        hosts += [settings.sip.host] if settings.sip.enabled else []
        self._serves_others = not all(is_loopback(host) for host in hosts)
        self._on_changed = on_changed

    async def run(self) -> None:
        """Follow changes until cancelled."""
        async with NetworkChanges() as changes:
            while True:
                await changes.wait()
                self.look()

    def look(self) -> None:
        """Look once more; log and tell what has changed."""
        before, self._found = self._found, self._find()
        gone, came = _usable(before - self._found), _usable(self._found - before)
        if not gone and not came:
            return
        text = ", ".join([*(f"{one} is gone" for one in gone), *(f"{one} is new" for one in came)])
        self._changes.append((self._clock(), text))
        logger.warning(
            "the addresses of this machine have changed",
            extra={"gone": gone, "new": came, "lost": self._lost()},
        )
        self._on_changed(self._found)

    def reachable(self) -> bool:
        """Tell whether callers of other machines can be given an address, where the settings ask for them."""
        return not self._serves_others or bool(_usable(self._found))

    def warnings(self) -> list[str]:
        """Return what has changed lately, and the fixed addresses that are not there."""
        latest = self._clock() - TOLD_S
        told = [f"own addresses have changed: {text}" for when, text in self._changes if when >= latest]
        return told + [f"{name} is no address of this machine" for name in self._lost()]

    def _lost(self) -> list[str]:
        return [f"{name} {address}" for name, address in self._fixed.items() if address not in self._found]


def _fixed(settings: Settings) -> Mapping[str, str]:
    """Return the settings that name one address of this machine, with it."""
    named = {"[sip] host": settings.sip.host if settings.sip.enabled else "", "[rtp] host": settings.rtp.host}
    named |= {
        f"[ice] host_addresses {number + 1}": one for number, one in enumerate(settings.ice.host_addresses)
    }
    return {name: host for name, host in named.items() if _is_fixed(host)}


def _is_fixed(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:  # a name, or nothing
        return False
    return not (address.is_unspecified or address.is_loopback)


def _usable(found: Found) -> list[str]:
    """Return the addresses that other machines can reach."""
    parsed = [ipaddress.ip_address(one) for one in found]
    return sorted(
        str(one) for one in parsed if not (one.is_loopback or one.is_link_local or one.is_unspecified)
    )
