"""Secrets of entries in the database: sealed with AES-256-GCM under a key that lies outside of it.

A sealed text is `v1:` and, in base64, 12 random bytes and the ciphertext with its tag (NIST SP 800-38D). The
name of its place is authenticated with it, so that it cannot be moved to another entry.
"""

import base64
import binascii
import os
from pathlib import Path
from typing import TYPE_CHECKING

from softswitch.errors import UnavailableError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NAME = "secrets.key"
"""Name of the key file in the data folder, unless `[store] key_file` names another."""
_PREFIX = "v1:"
_NONCE = 12
_KEY = 32


class Seal:
    """Seals and opens secrets; the key file is read or made at the first use."""

    def __init__(self, path: Path) -> None:
        """Take the path of the key file.

        Args:
            path: 32 bytes, readable by the owner only.
        """
        self._path = path
        self._cipher: AESGCM | None = None

    def seal(self, text: str, place: str) -> str:
        """Return a text sealed; make the key file unless it exists.

        Args:
            text: The secret.
            place: Where it is kept, `kind/name`.

        Raises:
            UnavailableError: The key file cannot be read or made.
        """
        nonce = os.urandom(_NONCE)
        sealed = nonce + self._ready(make=True).encrypt(nonce, text.encode(), place.encode())
        return _PREFIX + base64.b64encode(sealed).decode()

    def open(self, sealed: str, place: str) -> str:
        """Return the text of :meth:`seal`.

        Raises:
            UnavailableError: The key file is not there or another one, or the text was changed.
        """
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415  (9 MB, for what is sealed)

        cipher = self._ready(make=False)
        try:
            data = base64.b64decode(sealed.removeprefix(_PREFIX), validate=True)
            return cipher.decrypt(data[:_NONCE], data[_NONCE:], place.encode()).decode()
        except (binascii.Error, InvalidTag, ValueError):
            raise UnavailableError(
                f"the secrets of {place} cannot be opened with the key file {self._path}"
            ) from None

    def _ready(self, *, make: bool) -> "AESGCM":
        if self._cipher is None:
            try:
                key = self._read_or_make() if make else self._path.read_bytes()
            except OSError as error:
                raise UnavailableError(f"the key file {self._path}: {error.strerror}") from error
            if len(key) != _KEY:
                raise UnavailableError(f"the key file {self._path} must have {_KEY} bytes")
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

            self._cipher = AESGCM(key)
        return self._cipher

    def _read_or_make(self) -> bytes:
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(self._path, flags, 0o600)
        except FileExistsError:
            return self._path.read_bytes()
        key = os.urandom(_KEY)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        return key
