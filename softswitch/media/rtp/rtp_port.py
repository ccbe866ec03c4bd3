"""The port of a leg whose audio travels as RTP."""

from dataclasses import dataclass

from softswitch.media.port import Port


@dataclass(slots=True, eq=False, kw_only=True)
class RtpPort(Port):
    """A port with an RTP session; it neither speaks nor listens before it is connected."""

    held: bool = False
    """The call is on hold: missing media is not a fault."""
    sends: bool = True
    """The negotiated direction lets audio go to the remote party (RFC 3264 section 8.4)."""
    receives: bool = True
    """The negotiated direction lets the remote party's audio be mixed."""

    @property
    def is_open(self) -> bool:
        """True while the port is connected and audio may pass both ways."""
        flows = self.listens and self.speaks and self.sends and self.receives
        return flows and not (self.held or self.muted)

    @property
    def is_silenced(self) -> bool:
        """True while the audio of the port must not be mixed for others."""
        return self.muted or not self.receives
