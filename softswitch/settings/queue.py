"""Settings of queues: callers who wait for one of several users."""

import re
from typing import Annotated

from msgspec import Meta

from softswitch.settings.section import Positive, Seconds, Section

_NAME = re.compile(r"[A-Za-z0-9_.+*#-]{1,64}")
_ONWARD = re.compile(r"(?:user|room|agent|queue|voicemail):.+|echo|tone|[0-9+*#]{1,32}")


class Queue(Section, frozen=True):
    """A queue: callers of "queue:<name>" hear music until one of its users is free and answers."""

    name: str
    """Name in routes and callees."""
    users: tuple[str, ...]
    """Users that are rung, one for each caller at a time: the one who has been idle for the longest first."""
    ring_s: Seconds = 20.0
    """Longest ringing of one user, in seconds."""
    rest_s: Seconds = 10.0
    """Seconds for which a user who did not answer is not rung again."""
    timeout_s: Seconds = 300.0
    """Longest wait of a caller, in seconds. 0: no bound."""
    timeout_to: str = ""
    """Callee that a caller is connected with then, such as "user:anna". Empty: the call ends."""
    most: Positive = 20
    """Most callers who wait; further ones are refused with 486."""
    greeting: str = ""
    """Text that a caller hears first, or name of a file in the folder of sounds. Empty: none."""
    position: str = "You are caller number {position}."
    """Text that tells the place in the queue. Empty: it is not told."""
    position_s: Annotated[float, Meta(ge=5)] = 30.0
    """Seconds between two announcements of the place."""
    music: str = ""
    """Music: a URL, or name of a file in the folder of sounds. Empty: as [media] hold_music says."""
    voice: str = ""
    """Voice of the texts. Empty: the default."""
    accounts: tuple[str, ...] = ()
    """Accounts that may call it, besides those of routes. Empty: all."""

    def __post_init__(self) -> None:
        """Check name, users and the callee after the longest wait."""
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"name {self.name!r} must have 1 to 64 letters, digits or any of _.+*#-")
        if not self.users:
            raise ValueError("users must name at least one user")
        if self.timeout_to and not _ONWARD.fullmatch(self.timeout_to):
            raise ValueError(f"timeout_to: {self.timeout_to!r} is no callee")
        if self.timeout_to == f"queue:{self.name}":
            raise ValueError("timeout_to must not be the queue itself")
        try:
            self.position.format(position=1)
        except (KeyError, ValueError, IndexError) as error:
            raise ValueError(f"position: {{position}} alone stands for the place ({error})") from None
