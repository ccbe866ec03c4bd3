"""The port of a telephone's leg in the engine, and what of it has been told."""

from dataclasses import replace

from softswitch.endpoints.rtp_parameters import StreamIdentity, rtp_parameters
from softswitch.endpoints.sip.media_shared import MediaWish
from softswitch.endpoints.webrtc_shared import MediaPlane
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
    """Tells the engine what has changed, and nothing twice."""

    def __init__(
        self, engine: MediaPlane, port: int, mix: int, wish: MediaWish, identity: StreamIdentity
    ) -> None:
        """Make a port that the engine does not know yet."""
        self._engine, self._port, self._mix = engine, port, mix
        self._wish, self._identity = wish, identity
        self._parameters: RtpParameters | None = None
        self._flow: Direction = "sendrecv"
        self._expects_silence = False

    def follow(self, agreement: Agreement) -> None:
        """Open the port, or change its formats."""
        parameters = self._rtp(agreement)
        if self._parameters is None:
            self._engine.post(AddRtpPort(self._port, self._mix, parameters))
        elif parameters != self._parameters:
            self._engine.post(UpdateRtp(self._port, parameters))
        self._parameters = parameters

    def flow(self, direction: Direction, *, on_hold: bool) -> None:
        """Say which way media flow, and whether none is a fault.

        Args:
            direction: ours.
            on_hold: the far end does not want to hear us; then most say nothing either.
        """
        if direction != self._flow:
            self._flow = direction
            self._engine.post(
                SetDirection(self._port, sends=can_send(direction), receives=can_receive(direction))
            )
        if on_hold != self._expects_silence:
            self._expects_silence = on_hold
            self._engine.post(SetHeld(self._port, on_hold))

    def dial(self, digits: str) -> bool:
        """Send digits as wished; False where the far end knows no events, or INFO is wished for."""
        parameters, wish = self._parameters, self._wish.dtmf
        if parameters is None or wish == "info" or (parameters.send_events is None and wish != "inband"):
            return False
        return self.sound(digits)

    def sound(self, digits: str) -> bool:
        """Send digits, as tones where no events are agreed on; False before the port is open."""
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
        if self._wish.dtmf in {"auto", "rfc4733"}:
            # Of a codec at another clock: many telephones with Opus have events at 8000 Hz alone.
            events = agreement.send_events or next(iter(agreement.events), None)
        return rtp_parameters(replace(agreement, send_events=events), self._identity)
