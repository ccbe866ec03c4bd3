"""Settings of the upload of recordings."""

import re

from softswitch.settings.section import Section

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"(?:[A-Za-z0-9_./-]|\{account\}|\{date\}){0,512}")
_ENDPOINT = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+/?")


class Upload(Section, frozen=True):
    """Upload of finished recordings to S3-compatible storage; needs the extra [s3]."""

    endpoint: str = ""
    """URL of the storage, such as https://s3.eu-central-1.amazonaws.com. Empty: recordings stay here."""
    bucket: str = ""
    """Bucket, which must exist."""
    prefix: str = ""
    """Beginning of the names of objects; {account} and {date} stand for the account and the day (UTC)."""
    key: str = ""
    """Id of the access key."""
    secret: str = ""
    """Secret of the access key."""
    region: str = "us-east-1"
    """Region that requests are signed for."""
    delete_local: bool = False
    """Whether the file is deleted here once the storage has it. Its record stays."""

    delete_objects: bool = True
    """Whether an object is deleted with its recording: by DELETE, POST /admin/forget and retention_days."""

    def __post_init__(self) -> None:
        """Check the values that belong together."""
        if not self.endpoint:
            return
        if not _ENDPOINT.fullmatch(self.endpoint):
            raise ValueError("endpoint must be http:// or https:// with a host, and no path")
        if not _BUCKET.fullmatch(self.bucket):
            raise ValueError("bucket must have 3 to 63 lower-case letters, digits, dots or hyphens")
        if not _PREFIX.fullmatch(self.prefix) or ".." in self.prefix or self.prefix.startswith("/"):
            raise ValueError("prefix may have letters, digits, _ . / -, {account} and {date}")
        for name in ("key", "secret", "region"):
            if not getattr(self, name):
                raise ValueError(f"{name} is needed with endpoint")
