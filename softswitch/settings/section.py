"""Be the ground of every section: its types, and a text that shows no secret."""

from typing import Annotated

import msgspec
from msgspec import Meta

Port = Annotated[int, Meta(ge=0, le=65535)]
Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(ge=0)]

SECRET_KEYS = frozenset({"api_keys", "jwt_secret", "turn_secret", "credential", "password", "postgres"})
"""The keys whose values are shown to nobody."""


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Be a section: shown without its secrets, since settings end up in logs and tracebacks."""

    def __repr__(self) -> str:
        """Show the section as its keyword arguments, secrets as stars."""
        shown = ", ".join(
            f"{key}='***'" if key in SECRET_KEYS and getattr(self, key) else f"{key}={getattr(self, key)!r}"
            for key in self.__struct_fields__
        )
        return f"{type(self).__name__}({shown})"
