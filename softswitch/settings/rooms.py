"""Settings of rooms."""

from softswitch.settings.section import Count, Positive, Seconds, Section


class Rooms(Section, frozen=True):
    """Rooms (conferences), connected peer to peer or mixed by the switch."""

    max_participants: Positive = 100
    """Most participants of one mixed room."""
    max_rooms: Positive = 10000
    """Most open rooms."""
    rooms_per_account: Count = 1000
    """Most open rooms of one account; 0 means as many as max_rooms. Administrators are not limited."""
    empty_s: Seconds = 86400.0
    """Seconds after which a room is closed if no participant has joined it; 0 means never."""
    kept: Positive = 10000
    """Closed rooms that can still be listed. Beyond that, the account with most of them loses its oldest."""
    grace_s: Seconds = 20.0
    """Seconds in which a participant whose WebSocket was lost can return."""
    connect_timeout_s: Seconds = 30.0
    """Seconds in which a participant's media must connect; then the participant is removed."""
    auth_timeout_s: Seconds = 5.0
    """Seconds in which a client of /ws must send its auth message, if authentication is required."""
