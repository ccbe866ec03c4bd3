"""Look at ports and addresses, as a call would use them."""

import errno
import ipaddress
import socket
from contextlib import closing

from softswitch.cli.checks.finding import Finding, fail, ok, warn
from softswitch.settings import Settings, is_loopback

# Addresses of documentation (RFC 5737, RFC 3849): connecting a UDP socket to them sends nothing, but makes
# the kernel choose the address it would send from.
_FAR = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}


def check(settings: Settings) -> list[Finding]:
    """Return what was found of all this."""
    return [http_port(settings), media_ports(settings), *addresses(settings)]


def http_port(settings: Settings) -> Finding:
    """Look whether the web server can listen."""
    host, port = settings.http.host, settings.http.port
    place = f"{host or '*'}:{port}"
    try:
        with closing(socket.create_server((host, port), family=_family(host))):
            return ok("http port", f"{place} is free")
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return warn(
                "http port",
                f"{place} is in use",
                "if that is not this switch already running, choose another: --port",
            )
        if error.errno == errno.EACCES:
            return fail(
                "http port", f"{place} is not allowed", "ports below 1024 need root: choose another, --port"
            )
        return fail("http port", f"{place}: {error.strerror}", "--host has to be an address of this machine")


def media_ports(settings: Settings) -> Finding:
    """Look whether media sockets can be bound, by three ports of the range."""
    rtp = settings.rtp
    ports = sorted({rtp.port_min, (rtp.port_min + rtp.port_max) // 2, rtp.port_max})
    failures = []
    for port in ports:
        try:
            with socket.socket(_family(rtp.host), socket.SOCK_DGRAM) as probe:
                probe.bind((rtp.host, port))
        except OSError as error:
            failures.append(f"{port}: {error.strerror}")
    count = rtp.port_max - rtp.port_min + 1
    text = f"UDP {rtp.host}:{rtp.port_min}-{rtp.port_max}, {count} ports"
    if len(failures) == len(ports):
        return fail(
            "media ports", f"{text}: {failures[0]}", "[rtp] host has to be an address of this machine"
        )
    if failures:
        return warn(
            "media ports", f"{text}, some in use ({failures[0]})", "keep the range for the switch alone"
        )
    return ok("media ports", text)


def addresses(settings: Settings) -> list[Finding]:
    """Look at what callers elsewhere would be told to send their audio to."""
    found = []
    external = settings.rtp.external_ip
    own = [address for family in _FAR if (address := own_address(family))]
    if not own:
        found.append(
            warn("addresses", "this machine has loopback only", "calls from this machine work, no others")
        )
    for address in own:
        private = ipaddress.ip_address(address).is_private
        text = f"{address} ({'private' if private else 'public'})"
        if private and not external and not is_loopback(settings.http.host):
            advice = "callers beyond a NAT hear nothing: set [rtp] external_ip, or a TURN server ([ice])"
            found.append(warn("addresses", text, advice))
        else:
            found.append(ok("addresses", text))
    if external:
        found.append(ok("external address", f"{external} is told to callers"))
    return found


def own_address(family: socket.AddressFamily) -> str | None:
    """Return the address this machine sends from to the far world, or None where it cannot."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((_FAR[family], 9))
            return str(probe.getsockname()[0])
    except OSError:
        return None


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
