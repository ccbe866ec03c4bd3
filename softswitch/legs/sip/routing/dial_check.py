"""Which addresses a client may dial without a trunk: the check of a URI's address and port."""

from collections.abc import Sequence
from ipaddress import ip_address

from softswitch.egress.address import check_address, networks
from softswitch.egress.errors import EgressRefused
from softswitch.legs.sip.dial_error import DialError
from softswitch.sip.security.guard import is_within
from softswitch.sip.syntax.hosts import canonical

USUAL = range(5060, 5100)
"""Ports that may be dialled at any allowed address: the usual ones of SIP."""
LEAST = 1024
"""Lowest port that may be dialled; those below belong to system services."""


class DialCheck:
    """Check of dialled addresses by `[sip] allow`, and of unusual ports by `[egress] allow`, too."""

    def __init__(self, allow: Sequence[str], egress: Sequence[str]) -> None:
        """Parse the networks.

        Args:
            allow: `[sip] allow`.
            egress: `[egress] allow`.

        Raises:
            ValueError: one of them is not a network.
        """
        self._allow = networks(allow)
        self._egress = networks(egress)

    def check(self, host: str, port: int) -> None:
        """Refuse an address that may not be dialled.

        The client chooses headers of the INVITE, and a TCP connection tells whether a port is open. So a
        private address can be reached only at the usual ports of SIP, unless `[egress] allow` has it.

        Args:
            host: IP address.
            port: its port.

        Raises:
            DialError: it may not be dialled; the text names the setting.
        """
        if not is_within(host, self._allow):
            raise DialError(
                403,
                "callee: this host is not a server of a [[trunk]], and not in the networks of [sip] allow",
            )
        if port in USUAL:
            return
        if port < LEAST:
            raise DialError(
                403, f"callee: port {port} may not be dialled, ports {USUAL.start}-{USUAL.stop - 1} may"
            )
        try:
            check_address(ip_address(canonical(host)), self._egress)
        except EgressRefused:
            raise DialError(
                403,
                f"callee: port {port} of a private address may be dialled only where [egress] allow has the "
                f"address; ports {USUAL.start}-{USUAL.stop - 1} may without it",
            ) from None
