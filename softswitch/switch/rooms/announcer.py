"""The inner call of a room: its only leg is linked to the mix of the room.

Texts, files, marks and streams in a room are therefore those of any call. The call hears the room, the room
hears the call, and neither hears its own audio back.
"""

from collections.abc import Callable, Sequence

from softswitch.call.authority import Principal
from softswitch.call.interfaces import EndpointFactory, LegRequest
from softswitch.call.vocabulary.commands import CallOption, Command, Invite, VadOption
from softswitch.call.vocabulary.reports import LegAnswered, Report
from softswitch.call.vocabulary.values import Candidate
from softswitch.media import messages as m
from softswitch.switch.conversation.conversation import Conversation
from softswitch.switch.origin import Origin
from softswitch.switch.resources import Resources
from softswitch.switch.switch import Switch

RATE = 24000
PREBUFFER_MS = 20


class RoomLink:
    """The endpoint of the inner call: two ports back to back, one in the call and one in the room."""

    def __init__(
        self, request: LegRequest, report: Callable[[Report], None], resources: Resources, mix: int
    ) -> None:
        """Prepare; ``mix`` is the mix of the room."""
        self._request, self._report = request, report
        self._resources, self._mix = resources, mix
        self.port = next(resources.ids)
        """The port in the room."""
        self._open = False

    def answer(self) -> None:
        """Open both ports and link them."""
        if self._open:
            return
        self._open = True
        engine, routes, here = self._resources.engine, self._resources.routes, self._request.port
        for port, mix in ((here, self._request.mix), (self.port, self._mix)):
            engine.post(m.AddFeedPort(port, mix, "pcm", RATE, prebuffer_ms=PREBUFFER_MS, live=True))
        routes.frames(here, lambda pcm: engine.feed(self.port, pcm))
        routes.frames(self.port, lambda pcm: engine.feed(here, pcm))
        self._report(LegAnswered(self._request.leg, "", "pcm", RATE, 20))

    def hangup(self, reason: str = "", headers: dict[str, str] | None = None) -> None:
        """Close both ports; idempotent."""
        if not self._open:
            return
        self._open = False
        for port in (self._request.port, self.port):
            self._resources.engine.post(m.RemovePort(port))
        self._resources.routes.remove(self.port)

    async def closed(self) -> None:
        """Return at once: the link holds nothing else."""

    def ring(self, early_media: bool = False) -> None:
        """Do nothing: a link answers at once."""

    def offer(self, sdp: str) -> None:
        """Do nothing: a link has no SDP."""

    def candidates(self, candidates: Sequence[Candidate]) -> None:
        """Do nothing: a link has no ICE."""

    def dtmf(self, digits: str) -> None:
        """Do nothing: a room does not collect digits."""


class RoomAnnouncer:
    """The call of a room, opened when it is first needed and again when it has ended."""

    def __init__(self, room: str, mix: int, switch: Switch, owner: str) -> None:
        """Prepare; the call is opened with its first command.

        Args:
            room: Id of the room.
            mix: Mix of the room in the engine.
            switch: Opens the call.
            owner: Account of the room, which owns the call, too.
        """
        self._room, self._mix, self._switch, self._owner = room, mix, switch, owner
        self._call: Conversation | None = None

    async def order(self, command: Command, by: Principal) -> None:
        """Carry out a command in the call, and open the call first where it is not open.

        Raises:
            CommandRejected: The client may not, or the call cannot.
            NotNowError: No call can be opened now.
        """
        (await self.call()).order(command, by)

    async def call(self) -> Conversation:
        """Return the call; raises NotNowError where no call can be opened now."""
        if self._call is not None and not self._call.over:
            return self._call
        resources = self._switch.resources
        make: EndpointFactory = lambda request, report: RoomLink(request, report, resources, self._mix)  # noqa: E731
        call = self._call = await self._switch.open(None, "room", make, Origin(self._owner))
        call.room = self._room
        call.command(Invite(option=CallOption(caller=self._room, vad=VadOption(off=True))))
        return call

    @property
    def is_live(self) -> bool:
        """Tell whether the call is open now."""
        return self._call is not None and not self._call.over

    def close(self) -> None:
        """End the call, where it is open."""
        if self._call is not None and not self._call.over:
            self._call.end("room_closed", "system")
