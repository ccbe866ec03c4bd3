"""Hold where records are kept."""

from softswitch.settings.section import Section


class Store(Section, frozen=True):
    """Records of calls, rooms and sessions. Recordings and dumps stay below [paths] data."""

    postgres: str = ""
    """postgresql://user:password@host/name, with the extra "postgres". Empty: a file below [paths] data."""

    def __post_init__(self) -> None:
        """Refuse what is no URL of a PostgreSQL database."""
        if self.postgres and not self.postgres.startswith(("postgresql://", "postgres://")):
            raise ValueError("postgres must begin with postgresql://")
