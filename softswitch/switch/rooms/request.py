"""A room that is to be made, or as it is to become, as dialects hand it to the rooms of the switch."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from softswitch.room.model import RoomOptions


class RoomRequest(msgspec.Struct, frozen=True):
    """Name and settings of a room."""

    name: str
    settings: dict[str, Any]
    """As the client gave them: they are shown again, and stored."""
    options: RoomOptions
    """What the switch understands of the settings."""


ReadOptions = Callable[[Mapping[str, Any], int], RoomOptions]
"""Read the options of stored settings, in the dialect they were given in.

The number is the most participants of any room. What cannot be read is as if it was not there.
"""
