"""The engine port of a SIP leg's media, and what the engine was last told of it."""

from dataclasses import replace

from softswitch.legs.rtp_parameters import StreamIdentity, rtp_parameters
from softswitch.legs.sip.media.shared import MediaOptions
from softswitch.legs.webrtc.shared import MediaPlane
from softswitch.media.messages import (
    AddRtpPort,
    RemovePort,
    RtpParameters,
    SendDigits,
    SetDirection,
    SetHeld,
    UpdateRtp,
)
from softswitch.sdp import Agreement, Direction, can_receive, can_send


class MediaPort:
    """Engine port that posts changes only."""

    def __init__(
        self,
        engine: MediaPlane,
        port: int,
        mix: int,
        options: MediaOptions,
        identity: StreamIdentity,
        *,
        near: bool = False,
    ) -> None:
        """Prepare; `follow` opens the port. ``near``: the peer is another node of the switch."""
        self._near = near
        self._engine, self._port, self._mix = engine, port, mix
        self._options, self._identity = options, identity
        self._parameters: RtpParameters | None = None
        self._flow: Direction = "sendrecv"
        self._expects_silence = False

    def follow(self, agreement: Agreement) -> None:
        """Open the port for an agreement, or change its formats."""
        parameters = self._rtp(agreement)
        if self._parameters is None:
            self._engine.post(AddRtpPort(self._port, self._mix, parameters))
        elif parameters != self._parameters:
            self._engine.post(UpdateRtp(self._port, parameters))
        self._parameters = parameters

    def flow(self, direction: Direction, *, on_hold: bool) -> None:
        """Set the direction of the media, and whether silence is expected.

        Args:
            direction: direction of the local description.
            on_hold: the peer holds the call; most peers send nothing then.
        """
        if direction != self._flow:
            self._flow = direction
            self._engine.post(
                SetDirection(self._port, sends=can_send(direction), receives=can_receive(direction))
            )
        if on_hold != self._expects_silence:
            self._expects_silence = on_hold
            self._engine.post(SetHeld(self._port, on_hold))

    def send_digits(self, digits: str) -> bool:
        """Send digits; False where the options ask for INFO, or the peer supports no events."""
        parameters, dtmf = self._parameters, self._options.dtmf
        if parameters is None or dtmf == "info" or (parameters.send_events is None and dtmf != "inband"):
            return False
        return self.send_tones(digits)

    def send_tones(self, digits: str) -> bool:
        """Send digits as events or, without these, as tones; False before the port is open."""
        if self._parameters is None:
            return False
        self._engine.post(SendDigits(self._port, digits))
        return True

    def remove(self) -> None:
        """Close the port."""
        if self._parameters is not None:
            self._parameters = None
            self._engine.post(RemovePort(self._port))

    def _rtp(self, agreement: Agreement) -> RtpParameters:
        events = None
        if self._options.dtmf in {"auto", "rfc4733"}:
            # Events at another clock rate than the codec: many phones with Opus have events at 8000 Hz only.
            events = agreement.send_events or next(iter(agreement.events), None)
        if events != agreement.send_events:
            agreement = replace(agreement, send_events=events)
        return rtp_parameters(agreement, self._identity, near=self._near)
