"""The directory of calls: `web` finds and opens calls here and reaches each of them by a handle.

A handle takes and gives values only. A handle of a call that another process or node owns can keep the same
protocol over a bus: its methods are asynchronous, and commands, snapshots and events are msgspec structs.
A call is opened by the process that holds its client's socket, so that only :meth:`CallDirectory.open` takes
an object of this process, the party.
"""

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from softswitch.call.authority import Principal, Target, denial
from softswitch.call.interfaces import EndpointFactory
from softswitch.call.state import State
from softswitch.call.vocabulary import events
from softswitch.call.vocabulary.commands import Command, StreamOption
from softswitch.call.vocabulary.events import Event
from softswitch.call.vocabulary.rejection import CommandRejected
from softswitch.call.vocabulary.values import AgentSide, party_of
from softswitch.errors import ForbiddenError
from softswitch.sip.trace import SipMessage
from softswitch.store.quality import LegQuality
from softswitch.store.store import CallRecord
from softswitch.switch.conversation.conversation import Conversation, Subscriber
from softswitch.switch.origin import Origin, Source
from softswitch.switch.rooms.inner_call import call_room
from softswitch.switch.supervision.supervisions import Supervisor
from softswitch.switch.switch import Switch


class CallSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A call as it stands at one moment."""

    id: str
    kind: str
    """websocket, webrtc or sip; local or room for a call that the switch keeps for itself."""
    state: State
    created_ms: int
    """Epoch milliseconds, as all times here."""
    now_ms: int
    """This moment by the clock of the call."""
    ringing_ms: int | None = None
    """When the called party last reported that it rings."""
    early_media: bool = False
    """Whether it then sent audio, too."""
    answered_ms: int | None = None
    caller: str = ""
    callee: str = ""
    option: dict[str, object] = {}
    """The options of the call as the client gave them, without secrets."""
    source: Source = Source()
    account: str = ""
    """Account that the call belongs to; empty: the administrator's."""
    room: str = ""
    """Id of the room whose inner call this is."""
    waits: bool = False
    """Whether it came in and no application has taken it."""
    tag: str = ""
    """Text that an application wrote on the call."""
    answered_by: str = ""
    """human or machine, once that was detected."""
    recording: str = "off"
    """Whether it is recorded: off, on, paused or stopping."""
    seq: int = 0
    """Number of its last event."""
    shares_audio: bool = False
    """Whether its client gets the audio of both sides (``option.subscribe``)."""
    binary_events: bool = False
    """Whether its client gets audio as events (``option.binaryEvents``)."""
    streams: tuple[StreamOption, ...] = ()
    """Streams to outside services that are open or being opened."""

    @property
    def duration_ms(self) -> int:
        """Return the time since the answer; 0 before it."""
        return 0 if self.answered_ms is None else max(0, self.now_ms - self.answered_ms)


class Subscription(Protocol):
    """A subscription to the events of a call."""

    def close(self) -> None:
        """End the subscription; idempotent, at once."""


class CallHandle(Protocol):
    """A call of this process, or of another one."""

    @property
    def id(self) -> str:
        """Return the session id."""

    async def snapshot(self) -> CallSnapshot:
        """Return the call as it stands; after its end, as it ended."""

    async def command(self, command: Command, by: Principal) -> None:
        """Carry out a command of a client. Its authority is checked where the call runs.

        Raises:
            CommandRejected: 403 or 404: the client may not; otherwise the call cannot.
        """

    async def reject(self, rejected: CommandRejected) -> None:
        """Publish, as an event of the call, that a command could not be read or carried out."""

    async def subscribe(self, subscriber: Subscriber, since: int | None = None) -> Subscription:
        """Give a subscriber every event from now on.

        Args:
            subscriber: Gets events, shared audio, and the end of the call.
            since: Number of the last event it knows: those that the call has kept since then come first.
        """

    async def write_tag(self, tag: str, by: Principal) -> None:
        """Write a text on the call.

        Raises:
            ForbiddenError: The client may not.
        """

    def client_stalled(self, stalled: bool) -> None:
        """Tell the call whether audio does not arrive at its client although the socket seems to live."""

    def client_away(self, seconds: float) -> None:
        """Tell the call that its client is away and may come back; it heard nothing for so many seconds."""

    async def client_back(self) -> int:
        """Tell the call that its client has come back; return how much it did not hear, in milliseconds."""

    def end(self, reason: str, initiator: str) -> None:
        """Have the call ended; subscribers learn when it has."""


class CallDirectory:
    """The calls that clients of this process can reach."""

    def __init__(self, switch: Switch) -> None:
        """Follow the calls of a switch from their opening on."""
        self._switch = switch
        self._progress: dict[str, _Progress] = {}
        switch.followers.append(self._follow)

    def __len__(self) -> int:
        """Return how many calls are live."""
        return len(self._switch)

    # --- opening ----------------------------------------------------------------------

    def admit(self) -> None:
        """Decide on a new call that a client asks for, before any work; raises NotNowError."""
        self._switch.admit()

    def check(self, call_id: str | None, origin: Origin) -> None:
        """Raise what :meth:`open` would raise."""
        self._switch.check(call_id, origin)

    def reserved(self, call_id: str | None) -> contextlib.AbstractContextManager[None]:
        """Keep an id for a client that is connecting, until it opens its call or goes away."""
        return self._switch.reserved(call_id)

    async def open(
        self,
        kind: str,
        origin: Origin,
        party: EndpointFactory | None = None,
        *,
        call_id: str | None = None,
        resumable: bool = False,
        tag: str = "",
        callback: str = "",
    ) -> tuple[CallHandle, str]:
        """Open a call that waits for its first command; return it with its resume token.

        Args:
            kind: ``websocket``, ``webrtc`` or ``sip``.
            origin: Opens the call and owns it.
            party: Makes the endpoint of the client's leg; None: the callee is the party.
            call_id: Session id; None makes one.
            resumable: Whether the client may come back after it lost its socket; else the token is empty.
            tag: Text to write on the call.
            callback: URL that gets the messages about the call instead of the webhooks of its account.

        Raises:
            Taken: A live call has this id.
            NotNowError: The switch is going down or full.
        """
        conversation = await self._switch.open(call_id, kind, party, origin, resumable=resumable)
        conversation.tag, conversation.callback = tag, callback
        return _LocalCall(conversation, self._progress[conversation.id]), conversation.call.resume_token or ""

    async def room_party(self, origin: Origin, caller: str, room: str) -> EndpointFactory:
        """Return a party that stands in a room: a call that is opened with it is a participant.

        Args:
            origin: Opens the call.
            caller: Name that the room shows.
            room: ``room:<id>``.

        Raises:
            NotNowError: The switch is going down or full.
        """
        return await call_room(self._switch, origin, caller, room)

    # --- finding ----------------------------------------------------------------------

    async def find(self, call_id: str, by: Principal, act: str = "see a call") -> CallHandle | None:
        """Return a live call, or None where this client cannot do this to such a call.

        Args:
            call_id: Session id.
            by: The client.
            act: What the client wants to do: a key of the table of authority.
        """
        conversation = self._switch.find(call_id)
        if conversation is None or denial(by, act, conversation.target) is not None:
            return None
        return self._handle(conversation)

    def ended(self, call_id: str, by: Principal) -> CallRecord | None:
        """Return the record of a call that has just ended, before it is stored; else None."""
        record = self._switch.ended(call_id)
        if record is None or denial(by, "see a call", Target(record.account)) is not None:
            return None
        return record

    async def sip_messages(self, call_id: str, by: Principal) -> list[SipMessage] | None:
        """Return the SIP messages of a live call so far; None: no such call is live for this client."""
        conversation = self._switch.find(call_id)
        if conversation is None or denial(by, "see a call", conversation.target) is not None:
            return None
        return self._switch.records.parts.live(call_id)

    async def quality(self, call_id: str, by: Principal) -> list[LegQuality] | None:
        """Return the quality of a live call's legs so far; None: no such call is live for this client."""
        conversation = self._switch.find(call_id)
        if conversation is None or denial(by, "see a call", conversation.target) is not None:
            return None
        return conversation.quality()

    async def parts_stored(self, call_id: str) -> None:
        """Wait until the parts of a call that has just ended are stored, for a limited time."""
        await self._switch.records.parts.stored(call_id)

    async def list(self, by: Principal) -> list[CallSnapshot]:
        """Return the live calls that a client may see, the oldest first."""
        return [
            self._handle(conversation).now()
            for conversation in self._switch.conversations()
            if not conversation.is_internal and denial(by, "see a call", conversation.target) is None
        ]

    async def supervised(
        self, by: Principal
    ) -> Sequence[tuple[CallSnapshot, AgentSide, tuple[Supervisor, ...]]]:
        """Return the live calls that a client may supervise, the oldest first.

        Returns:
            Each with the side of its agent as the switch sees it, and with its supervisors.
        """
        supervisions = self._switch.supervisions
        return [
            (self._handle(call).now(), supervisions.side(call), supervisions.of(call.id))
            for call in self._switch.conversations()
            if supervisions.find(call.id, by) is call
        ]

    async def take(
        self, call_id: str | None, origin: Origin, *, resumable: bool = False
    ) -> CallHandle | None:
        """Give a call that waits to the application that has come for it; None: no such call waits."""
        conversation = self._switch.pending(call_id)
        if conversation is None:
            return None
        self._switch.take(conversation, origin, resumable=resumable)
        return self._handle(conversation)

    async def reattach(self, call_id: str, token: str, origin: Origin) -> tuple[CallHandle, str]:
        """Return the call that a client comes back to, and its next token.

        Raises:
            ForbiddenError: No call waits for this token.
        """
        conversation, successor = self._switch.reattach(call_id, token, origin)
        return self._handle(conversation), successor

    async def kill(self, call_id: str, by: Principal) -> bool:
        """End a call by order of an administrator; return False where no such call is live."""
        conversation = self._switch.find(call_id)
        if conversation is None or denial(by, "kill a call", conversation.target) is not None:
            return False
        return self._switch.kill(call_id)

    # --- inside -----------------------------------------------------------------------

    def _handle(self, conversation: Conversation) -> "_LocalCall":
        return _LocalCall(conversation, self._progress.get(conversation.id) or _Progress(conversation.id))

    def _follow(self, conversation: Conversation) -> None:
        progress = _Progress(conversation.id, lambda: self._progress.pop(conversation.id, None))
        self._progress[conversation.id] = progress
        conversation.subscribe(progress, kinds=_PROGRESS)


_PROGRESS = frozenset({events.Ringing})
"""Kinds of events that show how far a called party has come."""


class _Progress:
    """How far the called party of one call has come (a subscriber)."""

    def __init__(self, call_id: str, on_ended: Callable[[], object] = lambda: None) -> None:
        self.ringing_ms: int | None = None
        self.early_media = False
        self._party = party_of(call_id)
        self._on_ended = on_ended

    def event(self, event: Event, seq: int) -> None:
        """Note that the party rings."""
        if isinstance(event, events.Ringing) and event.subject == self._party:
            self.ringing_ms, self.early_media = round(event.timestamp * 1000), event.early_media

    def audio(self, side: int, pcm: bytes) -> None:
        """Ignore audio."""

    def close(self, code: int, reason: str) -> None:
        """End with the call."""
        self._on_ended()


class _LocalSubscription:
    """A subscription to a call of this process."""

    def __init__(self, conversation: Conversation, subscriber: Subscriber) -> None:
        self._conversation, self._subscriber = conversation, subscriber

    def close(self) -> None:
        """End the subscription."""
        self._conversation.unsubscribe(self._subscriber)


class _LocalCall:
    """A call of this process (a `CallHandle`)."""

    def __init__(self, conversation: Conversation, progress: _Progress) -> None:
        self._conversation, self._progress = conversation, progress

    @property
    def id(self) -> str:
        """Return the session id."""
        return self._conversation.id

    def now(self) -> CallSnapshot:
        """Return the call as it stands."""
        conversation, call = self._conversation, self._conversation.call
        option, answered = call.option, call.times.answered
        return CallSnapshot(
            id=call.id,
            kind=call.kind,
            state=call.state,
            created_ms=conversation.created_ms,
            now_ms=round(call.clock(time.monotonic()) * 1000),
            ringing_ms=self._progress.ringing_ms,
            early_media=self._progress.early_media,
            answered_ms=None if answered is None else round(call.clock(answered) * 1000),
            caller=option.caller,
            callee=option.callee,
            option=option.shown,
            source=conversation.source,
            account=conversation.owner,
            room=conversation.room,
            waits=conversation.awaits_client,
            tag=conversation.tag,
            answered_by=conversation.answered_by,
            recording=call.recording,
            seq=conversation.seq,
            shares_audio=option.subscribe,
            binary_events=option.binary_events,
            streams=call.streams.options(),
        )

    async def snapshot(self) -> CallSnapshot:
        """Return the call as it stands."""
        return self.now()

    async def command(self, command: Command, by: Principal) -> None:
        """Carry out a command; raises CommandRejected."""
        self._conversation.order(command, by)

    async def reject(self, rejected: CommandRejected) -> None:
        """Publish that a command could not be carried out."""
        self._conversation.publish(
            events.Error(
                timestamp=self._conversation.call.clock(time.monotonic()),
                subject=party_of(self.id),
                sender=rejected.sender,
                code=rejected.code,
                request_id=rejected.request_id,
                rejection=rejected.rejection,
            )
        )

    async def subscribe(self, subscriber: Subscriber, since: int | None = None) -> Subscription:
        """Give a subscriber every event from now on, or after a number."""
        self._conversation.subscribe(subscriber, since)
        return _LocalSubscription(self._conversation, subscriber)

    async def write_tag(self, tag: str, by: Principal) -> None:
        """Write a text on the call; raises ForbiddenError."""
        denied = denial(by, "tag a call", self._conversation.target)
        if denied is not None:
            raise ForbiddenError(denied.reason)
        self._conversation.tag = tag

    def client_stalled(self, stalled: bool) -> None:
        """Note whether audio does not arrive at the client."""
        self._conversation.client_stalled(stalled)

    def client_away(self, seconds: float) -> None:
        """Note that the client is away."""
        self._conversation.client_away(time.monotonic() - seconds)

    async def client_back(self) -> int:
        """Note that the client has come back; return what it did not hear, in milliseconds."""
        return self._conversation.client_back()

    def end(self, reason: str, initiator: str) -> None:
        """End the call."""
        self._conversation.end(reason, initiator)
