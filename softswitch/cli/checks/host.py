"""Look at the machine: Python, limits, the data folder, certificates."""

import os
import platform
import resource
import shutil
import tempfile
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from cryptography import x509

from softswitch.cli.checks.finding import Finding, fail, ok, warn
from softswitch.settings import Settings, is_loopback, static_root

FILES_PER_CALL = 6
"""Descriptors of one call: its WebSocket, its media sockets, its recording and dump."""
COMFORTABLE_FILES = 4096


def check(settings: Settings) -> list[Finding]:
    """Return what was found of all this."""
    return [python(), files(), page(), data(settings), *access(settings), *certificate(settings)]


def python() -> Finding:
    """Look at the interpreter and its event loop."""
    version = f"{platform.python_version()} on {platform.machine()}, {os.cpu_count()} cores"
    if find_spec("uvloop"):
        return ok("python", f"{version}, with uvloop")
    return warn(
        "python", f"{version}, without uvloop", "pip install 'softswitch[uvloop]' saves a third of the CPU"
    )


def files() -> Finding:
    """Look at the number of files the process may open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    text = f"{soft} open files allowed, good for about {soft // FILES_PER_CALL} calls"
    if soft >= COMFORTABLE_FILES:
        return ok("open files", text)
    return warn(
        "open files", text, f"ulimit -n {min(hard, 65536) if hard > 0 else 65536}, or LimitNOFILE= of systemd"
    )


def page() -> Finding:
    """Look for the files of the page."""
    try:
        return ok("page", str(static_root()))
    except FileNotFoundError as error:
        return fail("page", str(error), "install softswitch again")


def data(settings: Settings) -> Finding:
    """Look whether the data folder can be written and has room for the quota."""
    root = settings.paths.root()
    existing = next(folder for folder in (root, *root.parents) if folder.exists())
    try:
        tempfile.TemporaryFile(dir=existing).close()
    except OSError as error:
        text = f"{root} cannot be written: {error.strerror}"
        return fail("data", text, "choose another folder: --data, [paths] data")
    free_mb = shutil.disk_usage(existing).free // 1_000_000
    text = f"{root}, {free_mb} MB free"
    if free_mb < settings.recording.quota_mb:
        return warn(
            "data",
            f"{text}, less than the quota of {settings.recording.quota_mb} MB",
            "lower [recording] quota_mb, or choose another folder",
        )
    return ok("data", text)


def access(settings: Settings) -> list[Finding]:
    """Look at who may use the switch, and whether a browser will give its microphone."""
    found = []
    auth = settings.auth
    if auth.is_open():
        found.append(ok("access", f"open to everybody on this machine ({settings.http.host})"))
    else:
        ways = [f"{len(auth.api_keys)} API keys"] * bool(auth.api_keys)
        ways += ["JSON web tokens"] * bool(auth.jwt_secret or auth.jwt_public_key)
        found.append(ok("access", " and ".join(ways)))
    if not is_loopback(settings.http.host) and not settings.http.tls_cert:
        found.append(
            warn(
                "secure context",
                "browsers give a microphone to HTTPS and localhost only",
                "set --tls-cert and --tls-key, or put the proxy of deploy/ in front",
            )
        )
    return found


def certificate(settings: Settings, now: datetime | None = None) -> list[Finding]:
    """Look whether the certificate can be read and how long it is good."""
    if not settings.http.tls_cert:
        return []
    try:
        Path(settings.http.tls_key).read_bytes()
        loaded = x509.load_pem_x509_certificate(Path(settings.http.tls_cert).read_bytes())
    except (OSError, ValueError) as error:
        return [fail("certificate", str(error), "[http] tls_cert and tls_key are two readable PEM files")]
    days = (loaded.not_valid_after_utc - (now or datetime.now(UTC))).days
    if days < 0:
        return [fail("certificate", f"expired {-days} days ago", "renew it")]
    if days < 14:
        return [warn("certificate", f"good for {days} more days", "renew it soon")]
    return [ok("certificate", f"good for {days} more days")]
