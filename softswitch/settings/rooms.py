"""Hold what an operator may set for rooms."""

from softswitch.settings.section import Positive, Seconds, Section


class Rooms(Section, frozen=True):
    """Rooms, where people are joined peer to peer or mixed by the switch."""

    max_participants: Positive = 100
    """Most people in one mixed room."""
    max_rooms: Positive = 10000
    """Rooms open at once."""
    kept: Positive = 10000
    """Closed rooms that can still be listed."""
    grace_s: Seconds = 20.0
    """Time to come back for somebody whose WebSocket was lost, in seconds."""
    connect_timeout_s: Seconds = 30.0
    """Time to be connected before a seat is given up, in seconds."""
    auth_timeout_s: Seconds = 5.0
    """Time for the auth message on /ws, in seconds, where somebody has to prove who he is."""
