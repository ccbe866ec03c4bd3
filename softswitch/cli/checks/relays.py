"""Check of the STUN and TURN servers of the settings."""

import asyncio
import secrets
import socket
import time

from softswitch.cli.checks.finding import Finding, fail, ok
from softswitch.legs.webrtc.ice import IceServerGrant, IceUrl, gather_servers, ice_servers, parse_ice_url
from softswitch.legs.webrtc.turn_probe import probe_turn
from softswitch.settings import Settings

TIMEOUT_S = 5.0

# A binding request without attributes (RFC 8489 section 5): type, length, magic cookie; then the transaction.
_BINDING_REQUEST = b"\x00\x01\x00\x00\x21\x12\xa4\x42"
_BINDING_SUCCESS = b"\x01\x01"


def check(settings: Settings) -> list[Finding]:
    """Return a finding for each server, after one request to it."""
    grants = ice_servers(settings.ice, now=time.time(), user="doctor")
    return [_look(grant, url) for grant in grants for url in grant.urls]


def _look(grant: IceServerGrant, text: str) -> Finding:
    what = text.partition(":")[0].lower()
    try:
        url = parse_ice_url(text)
        if url.scheme == "stun" and url.transport == "udp":
            return ok(what, f"{text} answers in {1000 * bind(url):.0f} ms")
        access = gather_servers([IceServerGrant((text,), grant.username, grant.credential)]).turn
        if access is None:
            return ok(what, f"{text} is for browsers only and was not tested")
        host, port = asyncio.run(probe_turn(access, TIMEOUT_S))
        return ok(what, f"{text} relays at {host}:{port}")
    except (OSError, ValueError) as error:
        return fail(what, f"{text}: {error}", "check the URL, the secret and the firewall")


def bind(url: IceUrl) -> float:
    """Send a STUN server one binding request; return the seconds until it answered.

    Raises:
        OSError: it cannot be reached or does not answer.
    """
    transaction = secrets.token_bytes(12)
    family, kind, _, _, place = socket.getaddrinfo(url.host, url.port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind) as sender:
        sender.settimeout(TIMEOUT_S / 3)
        sender.connect(place)
        for _ in range(3):  # UDP may lose the request
            begin = time.monotonic()
            sender.send(_BINDING_REQUEST + transaction)
            try:
                answer = sender.recv(2048)
            except TimeoutError:
                continue
            if answer[:2] == _BINDING_SUCCESS and answer[8:20] == transaction:
                return time.monotonic() - begin
    raise OSError(f"no response within {TIMEOUT_S:g} s")
