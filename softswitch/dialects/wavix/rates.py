"""What calls cost, as records of Wavix show it."""

from typing import Final

import msgspec


class Rates(msgspec.Struct, frozen=True):
    """What a call costs."""

    per_minute: float = 0.0
    """US dollars; every begun minute counts."""

    def price(self, seconds: int) -> str:
        """Return the price of a call in US dollars."""
        return f"{-(-seconds // 60) * self.per_minute:.4f}"

    @property
    def shown(self) -> str:
        """Return the price of a minute in US dollars."""
        return f"{self.per_minute:.4f}"


FREE: Final = Rates()
"""Calls that cost nothing."""
