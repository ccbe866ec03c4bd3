"""Check of a switch that runs already: its web server, the age of its media tick, and its SIP ports."""

import contextlib
import errno
import http.client
import json
import re
import secrets
import socket
import ssl
from contextlib import closing
from typing import Literal

from softswitch.cli.checks.finding import Finding, fail, ok, warn
from softswitch.settings import Settings, listen_addresses, url_host

TIMEOUT_S = 2.0
"""Longest wait for each response, in seconds."""
OLD_TICK_S = 0.5
"""Age of the last media tick that is too high, in seconds; a tick comes every 20 ms while there is audio."""
_ANYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  (compared, not bound)
_ABSENT = {errno.EADDRINUSE: "is in use", errno.EACCES: "is not allowed"}
Kind = Literal["udp", "tcp", "tls"]


def check(settings: Settings) -> list[Finding]:
    """Return what can be said of the running switch, and of its SIP ports whether it runs or not."""
    runs = _readyz(settings)
    found = [] if runs is None else [runs, *_tick(settings)]
    return found + (_sip(settings, is_running=runs is not None) if settings.sip.enabled else [])


# --- the web server -------------------------------------------------------------------------


def _readyz(settings: Settings) -> Finding | None:
    """Return what `/readyz` says; None where no softswitch serves the port."""
    got = _get(settings, "/readyz")
    if got is None:
        return None
    status, body = got
    try:
        said = json.loads(body)
    except ValueError:
        return None
    if not isinstance(said, dict) or "status" not in said:
        return None
    notes = ", ".join(map(str, [*said.get("faults", ()), *said.get("warnings", ())]))
    if status == 200:
        text = "a switch runs here and is ready"
        return (
            warn("running switch", f"{text}: {notes}", "see its log") if notes else ok("running switch", text)
        )
    return fail("running switch", f"a switch runs here and is not ready: {notes}", "see its log")


def _tick(settings: Settings) -> list[Finding]:
    """Return the age of the last media tick, where the settings have a key that may read it."""
    got = _get(settings, "/metrics")
    if got is None or got[0] != 200:
        return []
    found = re.search(rb"(?m)^softswitch_media_tick_age_seconds (\S+)", got[1])
    if found is None:
        return []
    age = float(found[1])
    text = f"the last tick began {1000 * age:.0f} ms ago"
    if age > OLD_TICK_S:
        return [fail("media tick", text, "the media thread is late or dead: see the log, restart the switch")]
    return [ok("media tick", text)]


def _get(settings: Settings, path: str) -> tuple[int, bytes] | None:
    """Return status and body of a GET at the address of the settings; None without a response."""
    web = settings.http
    host = _ANYWHERE.get(web.host, web.host)
    if web.tls_cert:
        # It is this machine's own server, whose certificate names another host.
        context = ssl._create_unverified_context()  # noqa: S323, SLF001  (nothing secret is sent without it)
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, web.port, timeout=TIMEOUT_S, context=context
        )
    else:
        connection = http.client.HTTPConnection(host, web.port, timeout=TIMEOUT_S)
    keys = [key.key for key in settings.auth.keys() if "admin" in key.scopes]  # noqa: SIM118  (a method)
    headers = {"Authorization": f"Bearer {keys[0]}"} if keys else {}
    with closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read(1_000_000)
    return None


# --- SIP ---------------------------------------------------------------------------------------


def _sip(settings: Settings, *, is_running: bool) -> list[Finding]:
    sip = settings.sip
    ports: list[tuple[Kind, int]] = [("udp", sip.port), ("tcp", sip.port)]
    if sip.tls_port:
        ports.append(("tls", sip.tls_port))
    return [_port(sip.host, kind, port, is_running=is_running) for kind, port in ports if port]


def _port(host: str, kind: Kind, port: int, *, is_running: bool) -> Finding:
    what, place = f"sip port {kind}", f"{url_host(host or '*')}:{port}"
    flag = "[sip] tls_port" if kind == "tls" else "--sip-port or [sip] port"
    error = _bind(host, kind, port)
    if error is None:
        if is_running:
            advice = "the running switch does not listen there: does it have other settings?"
            return fail(what, f"{place} is free, though a switch runs", advice)
        return ok(what, f"{place} is free")
    if error.errno == errno.EADDRINUSE and kind == "tls":
        text = f"{place} is in use"
        return ok(what, text) if is_running else fail(what, text, f"choose another with {flag}")
    if error.errno == errno.EADDRINUSE:
        server = _ask(host, kind, port)
        if server is None:
            text = f"{place} is in use and does not answer OPTIONS"
            advice = (
                f"another program holds it: choose another with {flag}; or the switch is deaf: restart it"
            )
            return fail(what, text, advice)
        if "softswitch" in server:
            return ok(what, f"{place} answers OPTIONS: {server}")
        return fail(what, f"{place} is in use by {server}", f"choose another with {flag}")
    advice = "set [sip] host to an address of this machine" if error.errno not in _ABSENT else f"set {flag}"
    return fail(what, f"{place} {_ABSENT.get(error.errno or 0, error.strerror)}", advice)


def _bind(host: str, kind: Kind, port: int) -> OSError | None:
    """Try to listen; return the error, None where the port is free."""
    socket_kind = socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM
    for address in listen_addresses(host):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            with socket.socket(family, socket_kind) as probe:
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                if kind != "udp":
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address, port))
                if kind != "udp":
                    probe.listen(1)
        except OSError as error:
            return error
    return None


def _ask(host: str, kind: Kind, port: int) -> str | None:
    """Send OPTIONS; return the name of the program that responds, None without a response."""
    target = _ANYWHERE.get(host, host)
    family = socket.AF_INET6 if ":" in target else socket.AF_INET
    socket_kind = socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM
    with contextlib.suppress(OSError), socket.socket(family, socket_kind) as asking:
        asking.settimeout(TIMEOUT_S)
        asking.connect((target, port))
        own_host, own_port = asking.getsockname()[:2]
        mark = secrets.token_hex(8)
        asking.send(
            (
                f"OPTIONS sip:{url_host(target)}:{port} SIP/2.0\r\n"
                f"Via: SIP/2.0/{kind.upper()} {url_host(own_host)}:{own_port};branch=z9hG4bK{mark};rport\r\n"
                f"Max-Forwards: 1\r\nFrom: <sip:doctor@{url_host(own_host)}>;tag={mark}\r\n"
                f"To: <sip:{url_host(target)}>\r\nCall-ID: {mark}\r\nCSeq: 1 OPTIONS\r\n"
                "Content-Length: 0\r\n\r\n"
            ).encode()
        )
        response = asking.recv(65535).decode("utf-8", "replace")
        if response.startswith("SIP/2.0 "):
            named = re.search(r"(?mi)^(?:Server|User-Agent)\s*:\s*([^\r\n]{1,80})", response)
            return named[1].strip() if named else "a SIP server without a name"
    return None
