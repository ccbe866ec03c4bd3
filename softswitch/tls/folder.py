"""The folder of a certificate: the chain with its key, the sealed account, proofs for the authority."""

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Protocol

from softswitch.errors import SettingsError
from softswitch.settings import Settings
from softswitch.settings.acme import FOLDER, LIVE

_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,256}")
_ACCOUNT = "account.sealed"
_PROOFS = "proofs"
_LOCK = "lock"
PLACE = "acme/account"
"""Place that the key of the account is sealed for."""
MOST_PROOF = 1024
"""Bytes of the largest proof."""


class Sealing(Protocol):
    """Seals secrets (`softswitch.store.seal.Seal`)."""

    def seal(self, text: str, place: str) -> str:
        """Return a text sealed for a place."""

    def open(self, sealed: str, place: str) -> str:
        """Return the text of :meth:`seal`."""


class Standing(NamedTuple):
    """What is known of the certificate in use."""

    names: tuple[str, ...]
    begins: datetime
    ends: datetime
    is_placeholder: bool
    """Whether it is signed by itself, until the authority gives one."""


class CertificateFolder:
    """Files of one certificate, readable by the owner only."""

    def __init__(self, path: Path, seal: Sealing) -> None:
        """Take the folder, which `prepare_certificates` makes.

        Args:
            path: The folder.
            seal: Seals the key of the account.
        """
        self.path, self._seal = path, seal

    @property
    def live(self) -> Path:
        """File of chain and key."""
        return self.path / LIVE

    def install(self, chain: bytes, key: bytes) -> None:
        """Put a certificate into use, as a whole or not at all; raises OSError."""
        _install(self.path, chain, key)

    def standing(self) -> Standing | None:
        """Return what is known of the certificate in use; None where it cannot be read."""
        from cryptography import x509  # noqa: PLC0415  (9 MB, for switches with [acme])

        try:
            found = x509.load_pem_x509_certificate(self.live.read_bytes())
        except (OSError, ValueError):
            return None
        try:
            names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            given = tuple(names.get_values_for_type(x509.DNSName))
        except x509.ExtensionNotFound:
            given = ()
        return Standing(
            given, found.not_valid_before_utc, found.not_valid_after_utc, found.issuer == found.subject
        )

    def account(self) -> str | None:
        """Return the key of the account, None before the first order; raises UnavailableError."""
        try:
            sealed = (self.path / _ACCOUNT).read_text("ascii")
        except FileNotFoundError:
            return None
        return self._seal.open(sealed, PLACE)

    def keep_account(self, key: str) -> None:
        """Keep the key of the account, sealed; raises OSError and UnavailableError."""
        _write(self.path / _ACCOUNT, self._seal.seal(key, PLACE).encode("ascii"))

    # --- proofs -------------------------------------------------------------------------

    def publish(self, token: str, proof: str) -> None:
        """Have a proof answered by all processes of this machine; raises OSError and ValueError."""
        if not _TOKEN.fullmatch(token) or len(proof) > MOST_PROOF:
            raise ValueError("the authority's token is malformed")
        _write(self.path / _PROOFS / token, proof.encode("ascii"))

    def withdraw(self, token: str) -> None:
        """Have a proof answered no longer."""
        with contextlib.suppress(OSError):
            (self.path / _PROOFS / token).unlink()

    def proof(self, token: str) -> str | None:
        """Return the proof for a token; None for an unknown one."""
        if not _TOKEN.fullmatch(token):
            return None
        try:
            return (self.path / _PROOFS / token).read_text("ascii")
        except (OSError, ValueError):
            return None

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Tell whether this process alone cares for the certificate, until the end of the block."""
        with (self.path / _LOCK).open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True


def prepare_certificates(settings: Settings, now: datetime | None = None) -> None:
    """Make sure that listeners find a certificate: at the first start one that is signed by itself.

    Args:
        settings: The section [acme], and the data folder.
        now: The time; None: that of the clock.

    Raises:
        SettingsError: The folder cannot be written.
    """
    if not settings.acme.domains:
        return
    path = settings.paths.root() / FOLDER
    try:
        (path / _PROOFS).mkdir(parents=True, exist_ok=True, mode=0o700)
        if not (path / LIVE).exists():
            _install(path, *_placeholder(settings.acme.domains, now or datetime.now(UTC)))
    except OSError as error:
        raise SettingsError(f"the folder of certificates: {error}", section="acme", key="domains") from error


def _install(folder: Path, chain: bytes, key: bytes) -> None:
    _write(folder / LIVE, chain.rstrip() + b"\n" + key)


def _write(path: Path, data: bytes) -> None:
    """Write a file that only the owner reads, as a whole or not at all."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        new.unlink()
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def new_key() -> bytes:
    """Return a new private key for a certificate (P-256), PEM."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _placeholder(domains: tuple[str, ...], now: datetime) -> tuple[bytes, bytes]:
    """Return a certificate signed by itself for a week, and its key."""
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    from cryptography.x509.oid import NameOID  # noqa: PLC0415

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, domains[0][:64])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=7))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in domains]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), pem
