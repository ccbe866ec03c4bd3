"""What the switch itself says in a room: a call whose only leg is a cable into the room's mix.

So texts, files, marks and streams in a room are those of any call: the call hears what the room says, the
room hears what the call says, and nobody hears himself.
"""

from collections.abc import Callable, Sequence

from softswitch.call.commands import CallOption, Invite, VadOption
from softswitch.call.needs import Candidate, EndpointFactory, LegRequest
from softswitch.call.reports import LegAnswered, Report
from softswitch.media import messages as m
from softswitch.switch.conversation import Conversation
from softswitch.switch.resources import Resources
from softswitch.switch.switch import Origin, Switch

RATE = 24000
PREBUFFER_MS = 20


class Cable:
    """An ``Endpoint`` of two ports back to back: one in its call, one in the room."""

    def __init__(
        self, request: LegRequest, report: Callable[[Report], None], resources: Resources, mix: int
    ) -> None:
        """Prepare; ``mix`` is that of the room."""
        self._request, self._report = request, report
        self._resources, self._mix = resources, mix
        self.port = next(resources.ids)
        """The port in the room."""
        self._open = False

    def answer(self) -> None:
        """Plug both ends in."""
        if self._open:
            return
        self._open = True
        engine, routes, here = self._resources.engine, self._resources.routes, self._request.port
        for port, mix in ((here, self._request.mix), (self.port, self._mix)):
            engine.post(m.AddFeedPort(port, mix, "pcm", RATE, prebuffer_ms=PREBUFFER_MS))
        routes.frames(here, lambda pcm: engine.feed(self.port, pcm))
        routes.frames(self.port, lambda pcm: engine.feed(here, pcm))
        self._report(LegAnswered(self._request.leg, "", "pcm", RATE, 20))

    def hangup(self, reason: str = "", headers: dict[str, str] | None = None) -> None:
        """Pull both ends; idempotent."""
        if not self._open:
            return
        self._open = False
        for port in (self._request.port, self.port):
            self._resources.engine.post(m.RemovePort(port))
        self._resources.routes.remove(self.port)

    async def closed(self) -> None:
        """Return at once: nothing else is held."""

    def ring(self, early_media: bool = False) -> None:
        """Do nothing: nobody has to be alerted."""

    def offer(self, sdp: str) -> None:
        """Do nothing: there is no SDP here."""

    def candidates(self, candidates: Sequence[Candidate]) -> None:
        """Do nothing: there is no ICE here."""

    def dtmf(self, digits: str) -> None:
        """Do nothing: nobody in the room listens for digits."""


class RoomMachine:
    """The call of a room, opened when it is first needed and again when it has ended."""

    def __init__(self, room: str, mix: int, switch: Switch) -> None:
        """Hold nothing yet."""
        self._room, self._mix, self._switch = room, mix, switch
        self._call: Conversation | None = None

    async def call(self, origin: Origin) -> Conversation:
        """Return the call; raises NotNowError where no call can be opened now."""
        if self._call is not None and not self._call.over:
            return self._call
        resources = self._switch.resources
        make: EndpointFactory = lambda request, report: Cable(request, report, resources, self._mix)  # noqa: E731
        call = self._call = await self._switch.open(None, "room", make, origin)
        call.command(Invite(option=CallOption(caller=self._room, vad=VadOption(off=True))))
        return call

    @property
    def current(self) -> Conversation | None:
        """The call, where there is one now."""
        return None if self._call is None or self._call.over else self._call

    def close(self) -> None:
        """End it."""
        if self._call is not None and not self._call.over:
            self._call.end("room_closed", "system")
