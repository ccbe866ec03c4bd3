"""Checks of the host: Python, open files, web page, data folder, access, certificate."""

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
from softswitch.compiled import SWITCH
from softswitch.media.rtp import batch
from softswitch.settings import Settings, is_loopback, static_root
from softswitch.settings.acme import LIVE

FILES_PER_CALL = 6
"""File descriptors of one call: WebSocket, media sockets, recording and dump."""
COMFORTABLE_FILES = 4096


def check(settings: Settings) -> list[Finding]:
    """Return the findings of all checks of the host."""
    return [python(), compiled(), files(), page(), data(settings), *access(settings), *certificate(settings)]


def python() -> Finding:
    """Check the Python version and the event loop."""
    version = f"{platform.python_version()} on {platform.machine()}, {os.cpu_count()} cores"
    if find_spec("uvloop"):
        return ok("python", f"{version}, with uvloop")
    return warn(
        "python", f"{version}, without uvloop", "pip install 'softswitch[uvloop]' saves a third of the CPU"
    )


def compiled() -> Finding:
    """Check whether packets of telephones are handled by compiled code."""
    if batch.load().name == "compiled":
        return ok("media sockets", "read and sent by compiled code")
    return warn(
        "media sockets",
        "read and sent by Python alone",
        f"with a C compiler (apt-get install gcc libc6-dev) install softswitch again; {SWITCH}=0 turns "
        "compiled code off. It saves half of the CPU of telephone calls",
    )


def files() -> Finding:
    """Check the limit of open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    text = f"{soft} open files allowed, enough for about {soft // FILES_PER_CALL} calls"
    if soft >= COMFORTABLE_FILES:
        return ok("open files", text)
    return warn(
        "open files", text, f"ulimit -n {min(hard, 65536) if hard > 0 else 65536}, or LimitNOFILE= of systemd"
    )


def page() -> Finding:
    """Check that the files of the web page exist."""
    try:
        return ok("page", str(static_root()))
    except FileNotFoundError as error:
        return fail("page", str(error), "install softswitch again")


def data(settings: Settings) -> Finding:
    """Check that the data folder can be written and has space for the quota."""
    root = settings.paths.root()
    existing = next(folder for folder in (root, *root.parents) if folder.exists())
    try:
        tempfile.TemporaryFile(dir=existing).close()
    except OSError as error:
        text = f"{root} cannot be written: {error.strerror}"
        return fail("data", text, "choose another folder with --data or [paths] data")
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
    """Check authentication, and whether browsers will permit the microphone."""
    found = []
    auth = settings.auth
    if auth.is_open():
        found.append(ok("access", f"open to all programs on this machine ({settings.http.host})"))
    else:
        ways = [f"{len(auth.api_keys)} API keys"] * bool(auth.api_keys)
        ways += ["JSON web tokens"] * bool(auth.jwt_secret or auth.jwt_public_key)
        found.append(ok("access", " and ".join(ways)))
    if not is_loopback(settings.http.host) and not settings.http.tls_cert:
        found.append(
            warn(
                "secure context",
                "browsers permit the microphone on HTTPS and localhost only",
                "set --tls-cert and --tls-key, or put the proxy of deploy/ in front",
            )
        )
    return found


def certificate(settings: Settings, now: datetime | None = None) -> list[Finding]:
    """Check that the certificate can be read and has not expired."""
    if not settings.http.tls_cert:
        return []
    of_authority = bool(settings.acme.domains) and Path(settings.http.tls_cert).name == LIVE
    if of_authority and not Path(settings.http.tls_cert).exists():
        return [ok("certificate", f"ordered at the start for {', '.join(settings.acme.domains)}")]
    try:
        Path(settings.http.tls_key).read_bytes()
        loaded = x509.load_pem_x509_certificate(Path(settings.http.tls_cert).read_bytes())
    except (OSError, ValueError) as error:
        return [fail("certificate", str(error), "set [http] tls_cert and tls_key to readable PEM files")]
    if of_authority and loaded.issuer == loaded.subject:
        why = "the authority has given none yet: see the log and the warnings of /readyz"
        return [warn("certificate", "signed by itself", why)]
    days = (loaded.not_valid_after_utc - (now or datetime.now(UTC))).days
    if days < 0:
        return [fail("certificate", f"expired {-days} days ago", "renew it")]
    if days < 14:
        return [warn("certificate", f"valid for {days} more days", "renew it soon")]
    return [ok("certificate", f"valid for {days} more days")]
