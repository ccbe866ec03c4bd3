"""The hosts file of the system, which `Names` and the SIP resolver read before they ask DNS."""

import ipaddress
from pathlib import Path

HOSTS = Path("/etc/hosts")


class HostsFile:
    """Addresses of names in the hosts file, which is read again after a change."""

    def __init__(self, path: Path = HOSTS) -> None:
        self._path = path
        self._read_at = -1.0
        self._names: dict[str, tuple[str, ...]] = {}

    def addresses(self, name: str) -> tuple[str, ...]:
        """Return the addresses of a name, an empty tuple if the file does not have it."""
        try:
            changed_at = self._path.stat().st_mtime
            if changed_at != self._read_at:
                self._names = _read_hosts(self._path.read_text("utf-8", "replace"))
                self._read_at = changed_at
        except OSError:
            return ()
        return self._names.get(name.lower().rstrip("."), ())


def _read_hosts(text: str) -> dict[str, tuple[str, ...]]:
    names: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        address, *found = line.partition("#")[0].split() or [""]
        try:
            ipaddress.ip_address(address)
        except ValueError:
            continue
        for name in found:
            names[name.lower()] = (*names.get(name.lower(), ()), address)
    # IPv4 first, as with DNS: most servers that listen on one address family use IPv4.
    return {name: tuple(sorted(found, key=lambda address: ":" in address)) for name, found in names.items()}
