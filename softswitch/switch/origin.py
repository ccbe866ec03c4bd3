"""Where calls come from: the party that opens one, and the direction, trunk or user of its first leg."""

from dataclasses import dataclass, field
from typing import Self

import msgspec

from softswitch.call.authority import OPERATOR, Principal


class Source(msgspec.Struct, frozen=True):
    """Direction, trunk and user of a call, for lists and records."""

    direction: str = "inbound"
    """inbound: the party called the switch; outbound: the switch called the party."""
    trunk: str = ""
    user: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """The client or the settings that open a call."""

    owner: str = ""
    """Account of the API key or token; empty: the administrator's, also where keys are off."""
    address: str = ""
    """Network address of the client."""
    source: Source = field(default_factory=Source)
    by: Principal | None = None
    """The client; None: a rule of the settings."""

    @classmethod
    def within(cls, account: str) -> Self:
        """Return the origin of a call that the switch opens itself, for an account or ("") the operator."""
        return cls(account, by=None if account else OPERATOR)

    @property
    def principal(self) -> Principal:
        """Return the client, or for an account without one a principal that may hold calls only."""
        return self.by or Principal(self.owner, frozenset({"call"}), self.owner)
