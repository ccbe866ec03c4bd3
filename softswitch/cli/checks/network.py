"""Checks of ports and addresses that calls use."""

import errno
import ipaddress
import socket
from contextlib import closing

from softswitch.cli.checks.finding import Finding, fail, ok, warn
from softswitch.settings import Settings, is_loopback, listen_addresses, url_host

# Documentation addresses (RFC 5737, RFC 3849): connecting a UDP socket sends nothing, but the kernel chooses
# the source address.
_FAR = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}


def check(settings: Settings) -> list[Finding]:
    """Return the findings of all checks of the network."""
    return [http_port(settings), media_ports(settings), *addresses(settings)]


def http_port(settings: Settings) -> Finding:
    """Check that the web server can listen."""
    host, port = settings.http.host, settings.http.port
    place = f"{url_host(host or '*')}:{port}"
    try:
        for address in listen_addresses(host):
            with closing(socket.create_server((address, port), family=_family(address))):
                pass
        return ok("http port", f"{place} is free")
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return warn(
                "http port",
                f"{place} is in use",
                "if this switch is not running already, choose another port with --port",
            )
        if error.errno == errno.EACCES:
            return fail(
                "http port",
                f"{place} is not allowed",
                "ports below 1024 need root: choose another one with --port",
            )
        return fail("http port", f"{place}: {error.strerror}", "set --host to an address of this machine")


def media_ports(settings: Settings) -> Finding:
    """Check that media sockets can be bound, with three ports of the range."""
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
    text = f"UDP {url_host(rtp.host)}:{rtp.port_min}-{rtp.port_max}, {count} ports"
    if len(failures) == len(ports):
        return fail("media ports", f"{text}: {failures[0]}", "set [rtp] host to an address of this machine")
    if failures:
        return warn(
            "media ports", f"{text}, some in use ({failures[0]})", "reserve the port range for the switch"
        )
    return ok("media ports", text)


def addresses(settings: Settings) -> list[Finding]:
    """Check the addresses that callers are given for their audio."""
    found = []
    external = settings.rtp.external_ip
    own = [address for family in _FAR if (address := own_address(family))]
    if not own:
        found.append(warn("addresses", "this machine has loopback only", "only calls from this machine work"))
    for address in own:
        private = ipaddress.ip_address(address).is_private
        text = f"{address} ({'private' if private else 'public'})"
        if private and not external and not is_loopback(settings.http.host):
            advice = "callers outside the NAT hear nothing: set [rtp] external_ip, or a TURN server in [ice]"
            found.append(warn("addresses", text, advice))
        else:
            found.append(ok("addresses", text))
    if external:
        found.append(ok("external address", f"callers are given {external}"))
    return found


def own_address(family: socket.AddressFamily) -> str | None:
    """Return the address that this machine uses for public destinations, None if it cannot reach them."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((_FAR[family], 9))
            return str(probe.getsockname()[0])
    except OSError:
        return None


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
