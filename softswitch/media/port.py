"""The state that every kind of engine port shares: its ids, its mixes and whether audio may pass."""

from dataclasses import dataclass


@dataclass(slots=True, eq=False, kw_only=True)
class Port:
    """One leg's place in the engine; base class of RTP ports and feed ports."""

    id: int
    """Id that messages and reports name."""
    slot: int
    """Row of the port in the arrays that outlive a tick."""
    own_mix: int
    """Mix of the port's own call; the port always hears the tracks of this mix."""
    mix: int
    """Mix in which the port converses: `own_mix`, unless it was bridged or joined a room."""
    speaks: bool
    """The audio of the port is mixed for others."""
    listens: bool
    """The port receives what its mix sounds like."""
    muted: bool = False
    audience: frozenset[int] | None = None
    """Ids of the ports that hear it; None: all of its mix."""

    @property
    def is_silenced(self) -> bool:
        """True while the audio of the port must not be mixed for others."""
        return self.muted
