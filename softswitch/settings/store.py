"""Settings of the database."""

from softswitch.settings.section import Count, Section


class Store(Section, frozen=True):
    """Database of calls, rooms and sessions. Recordings and dumps stay in the [paths] data folder."""

    postgres: str = ""
    """URL postgresql://user:password@host/name; needs the extra [postgres]. Empty: a file in [paths] data."""

    key_file: str = ""
    """File with the key that seals passwords and keys of /admin/trunks, /admin/providers and /admin/webhooks
    in the database; made at the first use. Empty: secrets.key in [paths] data."""

    spool_mb: Count = 64
    """Megabytes on the disk for records that wait while the database is away; up to 16 more are in memory."""

    def __post_init__(self) -> None:
        """Check the URL."""
        if self.postgres and not self.postgres.startswith(("postgresql://", "postgres://")):
            raise ValueError("postgres must start with postgresql://")
