"""A bucket of S3-compatible storage: signed requests (AWS Signature Version 4) through the egress client."""

import asyncio
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from softswitch.egress import EgressClient, Fetched
from softswitch.errors import SettingsError, SoftswitchError
from softswitch.settings import Upload

BYTES_PER_S = 50_000
"""Slowest transfer that is waited for."""
LEAST_S = 60.0
"""Shortest time for one transfer, seconds."""
SAID = 300
"""Characters of an answer that an error repeats."""
_CHUNK = 1 << 20
_NOTHING = hashlib.sha256(b"").hexdigest()


class StorageError(SoftswitchError):
    """The storage did not take an object."""

    def __init__(self, text: str, *, final: bool) -> None:
        super().__init__(text)
        self.final = final
        """Whether another try would end the same way."""


_FINAL = frozenset({400, 405, 411, 413, 414, 501})
"""Status codes that say that this object is never taken."""


class Bucket:
    """The bucket that the settings name."""

    def __init__(
        self,
        settings: Upload,
        egress: EgressClient,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Prepare.

        Args:
            settings: Endpoint, bucket, key.
            egress: Sends the requests. The endpoint comes from the settings, so it may be a private address.
            clock: Tells the time.

        Raises:
            SettingsError: The extra [s3] is not installed.
        """
        try:
            from minio.credentials.credentials import Credentials  # noqa: PLC0415
            from minio.signer import sign_v4_s3  # noqa: PLC0415
        except ImportError as error:
            raise SettingsError(
                "minio is not installed: pip install softswitch[s3]", section="upload", key="endpoint"
            ) from error
        self._sign = sign_v4_s3
        self._credentials = Credentials(settings.key, settings.secret)
        self._settings, self._egress, self._clock = settings, egress, clock

    def name_of(self, file: str, account: str, created_ms: int) -> str:
        """Return the name of the object for a recording."""
        day = datetime.fromtimestamp(created_ms / 1000, UTC).strftime("%Y-%m-%d")
        owner = "".join(one if (one.isalnum() and one.isascii()) or one in "._-" else "_" for one in account)
        return self._settings.prefix.replace("{account}", owner).replace("{date}", day) + file

    def url_of(self, name: str) -> str:
        """Return the URL of an object."""
        return f"{self._settings.endpoint.rstrip('/')}/{self._settings.bucket}/{name}"

    def holds(self, url: str) -> bool:
        """Return whether a URL is that of an object in this bucket."""
        return url.startswith(self.url_of(""))

    async def delete(self, url: str) -> None:
        """Delete an object; one that is not there is no error.

        Args:
            url: URL of the object.

        Raises:
            EgressError: The storage cannot be reached.
            StorageError: The storage answered with an error, or the settings name another one.
        """
        if not self.holds(url):
            raise StorageError("[upload] names another storage than that of the object", final=True)
        headers = self._signed("DELETE", url, _NOTHING)
        answer = await self._egress.fetch(
            url, method="DELETE", headers=headers, trusted=True, redirects=False, timeout_s=LEAST_S
        )
        if not 200 <= answer.status < 300 and answer.status != 404:
            raise _error(answer)

    async def put(self, name: str, path: Path, kind: str) -> int:
        """Store a file as an object; return its size in bytes.

        Args:
            name: Name of the object.
            path: The file.
            kind: Its media type.

        Raises:
            OSError: The file cannot be read.
            EgressError: The storage cannot be reached.
            StorageError: The storage answered with an error.
        """
        digest, size = await asyncio.to_thread(_digest, path)
        url = self.url_of(name)
        sent = self._signed("PUT", url, digest) | {"Content-Type": kind}
        with await asyncio.to_thread(path.open, "rb") as file:
            answer = await self._egress.fetch(
                url,
                method="PUT",
                headers=sent,
                body=file,
                trusted=True,
                redirects=False,
                timeout_s=max(LEAST_S, size / BYTES_PER_S),
            )
        if not 200 <= answer.status < 300:
            raise _error(answer)
        return size

    def _signed(self, method: str, url: str, digest: str) -> dict[str, str]:
        """Return the headers of a request with its signature."""
        parts = urlsplit(url)
        now = self._clock()
        headers: dict[str, str | list[str] | tuple[str]] = {
            "Host": parts.netloc,
            "X-Amz-Content-Sha256": digest,
            "X-Amz-Date": now.strftime("%Y%m%dT%H%M%SZ"),
        }
        signed = self._sign(
            method=method,
            url=parts,
            region=self._settings.region,
            headers=headers,
            credentials=self._credentials,
            content_sha256=digest,
            date=now,
        )
        return {key: str(value) for key, value in signed.items()}


def _error(answer: Fetched) -> StorageError:
    """Return the error of an answer."""
    said = answer.body[:SAID].decode(errors="replace")
    return StorageError(f"the storage answered {answer.status}: {said}", final=answer.status in _FINAL)


def _digest(path: Path) -> tuple[str, int]:
    """Return the SHA-256 of a file in hex, and its size."""
    found, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
            size += len(chunk)
    return found.hexdigest(), size
