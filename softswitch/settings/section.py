"""Base class of the sections, and the types of their fields."""

from typing import Annotated

import msgspec
from msgspec import Meta

Port = Annotated[int, Meta(ge=0, le=65535)]
Count = Annotated[int, Meta(ge=0)]
Measured = Annotated[int, Meta(ge=-1)]
"""A count that -1 leaves to the size of the machine."""
Positive = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(ge=0)]

SECRET_KEYS = frozenset(
    {"api_keys", "jwt_secret", "turn_secret", "credential", "password", "postgres", "secret", "stream_secret"}
    | {"key", "secret_id", "session", "token", "ha1"}
)
"""Keys whose values never appear in logs."""


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A section of the settings; its text hides secrets, since settings appear in logs and tracebacks."""

    def __repr__(self) -> str:
        """Return the section as keyword arguments, with secrets as stars."""
        shown = ", ".join(
            f"{key}='***'" if key in SECRET_KEYS and getattr(self, key) else f"{key}={getattr(self, key)!r}"
            for key in self.__struct_fields__
        )
        return f"{type(self).__name__}({shown})"
