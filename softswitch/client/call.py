"""A call as an application controls it."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from typing import Any, TypeVar, overload

import msgspec

from softswitch.client.commands import Commands, fields
from softswitch.client.errors import (
    CallEndedError,
    ClientError,
    CommandFailedError,
    ConnectionFailedError,
    ConnectionLostError,
)
from softswitch.client.inbox import AudioQueue, Inbox
from softswitch.client.link import Wire
from softswitch.client.replies import Replies
from softswitch.client.state import State
from softswitch.protocol import call_commands as w
from softswitch.protocol.call_events import (
    Answer,
    AudioFormat,
    Binary,
    Error,
    Event,
    Hangup,
    Incoming,
    Reject,
    Resumed,
)
from softswitch.protocol.event_reading import NotAnEventError, decode

E = TypeVar("E", bound=Event)

_EVENTS_KEPT, _STATES_KEPT = 2000, 100
_AUDIO_KEPT = 1500
"""Audio messages that wait for the application: 30 s at 20 ms each."""

_FINAL_CODES = frozenset({1000, 1001, 1008})
"""Close codes that forbid reconnecting: normal, going away, policy (RFC 6455 section 7.4.1)."""

_LEAD_S = 0.08
"""Seconds by which streamed audio is ahead of time."""

_FAREWELL_S = 2.0
"""Seconds that :meth:`Call.close` waits for the hangup."""


class Call(Commands):
    """A call over ``/call``, ``/call/webrtc`` or ``/call/sip``; :func:`.connect` makes one."""

    def __init__(
        self,
        link: Wire,
        *,
        id: str | None = None,  # noqa: A002  (what the wire calls it)
        resume_s: int = 0,
        command_timeout_s: float = 10.0,
        acknowledge: bool = True,
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            link: the connection to the switch.
            id: the session id to request; the switch chooses one if None.
            resume_s: for how many seconds the switch shall keep the call when the socket is lost.
            command_timeout_s: how long to wait for an acknowledgement.
            acknowledge: ask for one; False for a switch that knows no ``requestId``.
        """
        self.id = id
        """The session id, once it is known."""
        self.incoming: Incoming | None = None
        """The event that announced the call, where it is an incoming one."""
        self.answer: Answer | None = None
        """The first answer, as soon as it has come."""
        self.end: Hangup | None = None
        """The hangup, as soon as it has come."""
        self.unsent = 0
        """Audio messages that were dropped because there was no connection."""
        self._link = link
        self._resume_s = resume_s
        self._timeout_s = command_timeout_s
        self._acknowledge = acknowledge
        self._state = State.DISCONNECTED
        self._states = Inbox[State](_STATES_KEPT)
        self._inbox = Inbox[Event](_EVENTS_KEPT)
        self._audio = AudioQueue(_AUDIO_KEPT)
        self._replies = Replies()
        self._reader: asyncio.Task[None] | None = None
        self._closing = False
        self._token = ""
        self._seq = 0
        self._refusal: Error | None = None
        self._rejection: Reject | None = None

    def __repr__(self) -> str:
        return f"<Call {self.id or 'without id'} {self._state}>"

    # --- state ----------------------------------------------------------------------

    @property
    def state(self) -> State:
        """State of the connection and the call."""
        return self._state

    @property
    def audio_format(self) -> AudioFormat:
        """Format of binary messages, both ways."""
        return (self.answer and self.answer.audio) or AudioFormat()

    @property
    def dropped(self) -> dict[str, int]:
        """Number of ``audio`` messages and ``events`` that were not read in time and dropped."""
        return {"audio": self._audio.dropped, "events": self._inbox.missed}

    def states(self) -> AsyncGenerator[State, None]:
        """Yield all states from the first on, and each new one, until the final one."""
        return self._states.read()

    def _enter(self, state: State) -> None:
        self._state = state
        self._states.put(state)

    # --- beginning and end ----------------------------------------------------------

    async def open(self, query: Mapping[str, str] | None = None) -> None:
        """Open the socket and begin to read it.

        Raises:
            ConnectionFailedError: the socket could not be opened.
        """
        self._enter(State.CONNECTING)
        asked = fields(id=self.id, resume=str(self._resume_s) if self._resume_s else None)
        try:
            await self._link.open({**(query or {}), **asked})
        except ConnectionFailedError:
            self._finish()
            raise
        # The one task of a call: it ends with the socket, and close() waits for it.
        self._reader = asyncio.create_task(self._read(), name="softswitch-client-reader")

    async def answered(self, timeout_s: float | None = None) -> Answer:
        """Wait until the remote party answers.

        Raises:
            CallEndedError: the remote party refused, or the call ended before.
            ConnectionFailedError: the switch refused the call itself.
            TimeoutError: no answer came within `timeout_s`.
        """
        async with asyncio.timeout(timeout_s):
            while self.answer is None and self._rejection is None and not self._inbox.closed:
                await self._inbox.news()
        if self.answer is not None:
            return self.answer
        if (refused := self._rejection) is not None:
            raise CallEndedError(f"rejected: {refused.code} {refused.reason}", reason=refused.reason)
        raise self._ended()

    async def hangup(
        self,
        reason: str | None = None,
        initiator: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """End the call and wait for the hangup event; `headers` go into the BYE to a telephone."""
        if self.end is None and not self._inbox.closed:
            given = fields(reason=reason, initiator=initiator, headers=headers)
            await self._give(w.Hangup(**given), wait=False)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._timeout_s):
                    while self.end is None and not self._inbox.closed:
                        await self._inbox.news()

    async def close(self) -> None:
        """Hang up if the call is still up, and close the socket; a second time does nothing."""
        if self._reader is None:
            return
        self._closing = True
        if self._state is State.CONNECTED:
            with suppress(ClientError, TimeoutError):
                async with asyncio.timeout(_FAREWELL_S):
                    await self.hangup()
        await self._link.close()
        self._reader.cancel()
        with suppress(asyncio.CancelledError):
            await self._reader
        self._finish()

    # --- events ---------------------------------------------------------------------

    def events(self) -> AsyncGenerator[Event, None]:
        """Yield all events from the first of the call on, until the call is over.

        Every iterator yields all of them; acknowledgements of this client's own commands are left out.
        """
        return self._inbox.read()

    @overload
    async def wait(self, kind: type[E], timeout_s: float | None = None, **matching: Any) -> E: ...

    @overload
    async def wait(self, kind: str, timeout_s: float | None = None, **matching: Any) -> Event: ...

    async def wait(self, kind: type[Event] | str, timeout_s: float | None = None, **matching: Any) -> Event:
        """Return the next event of a kind, also one that came before; each is returned once.

        Args:
            kind: struct of the event, or its name on the wire.
            timeout_s: seconds to wait; None: without limit.
            matching: fields that must have these values, as in ``wait(TrackEnd, play_id="greeting")``.

        Raises:
            CallEndedError: the call ended without such an event.
            ConnectionLostError: the connection was lost for good without one.
            TimeoutError: none came in time.
        """

        def wanted(event: Event) -> bool:
            of_kind = event.name == kind if isinstance(kind, str) else isinstance(event, kind)
            return of_kind and all(getattr(event, field, None) == value for field, value in matching.items())

        async with asyncio.timeout(timeout_s):
            event = await self._inbox.take(wanted)
        if event is None:
            raise self._ended()
        return event

    # --- audio ----------------------------------------------------------------------

    def audio(self) -> AsyncGenerator[bytes, None]:
        """Yield the audio that the switch sends, message by message, in :attr:`audio_format`.

        With ``option.subscribe`` each begins with an octet: 0 for this side of the call, 1 for the party.
        """
        return self._audio.read()

    async def send(self, data: bytes) -> None:
        """Send audio in :attr:`audio_format`, whole samples; without a connection it is dropped."""
        try:
            await self._link.send(data)
        except ConnectionLostError:
            self.unsent += 1

    async def stream(self, data: bytes, ptime_ms: int = 20) -> None:
        """Send a longer piece of audio in real time.

        It is sent 80 ms ahead of time, so that a short stall of the application makes no gap.
        """
        audio = self.audio_format
        per_ms = audio.sample_rate * 2 // 1000 if audio.codec.lower() == "pcm" else 8
        size = per_ms * ptime_ms
        loop = asyncio.get_running_loop()
        begin = loop.time()
        for number, at in enumerate(range(0, len(data), size)):
            await asyncio.sleep(begin + number * ptime_ms / 1000 - _LEAD_S - loop.time())
            await self.send(data[at : at + size])

    # --- commands -------------------------------------------------------------------

    async def command(
        self, command: str, body: Mapping[str, Any] | None = None, *, wait: bool = True
    ) -> None:
        """Send any command, as :meth:`Commands.command` says; it waits while the client reconnects."""
        message = {"command": command, **(body or {})}
        async with asyncio.timeout(self._timeout_s):
            await self._ready()
            if not (wait and self._acknowledge):
                await self._link.send(_text(message))
                return
            request_id, done = self._replies.expect()
            try:
                await self._link.send(_text({**message, "requestId": request_id}))
                await done
            finally:
                done.cancel()

    async def renegotiate(self, offer: str, timeout_s: float = 10.0) -> Answer:
        """Send a new SDP offer (ICE restart, hold) and return the answer to it."""
        await self._give(w.Offer(offer=offer))
        return await self.wait(Answer, timeout_s)

    async def _ready(self) -> None:
        while self._state is State.RECONNECTING:
            await self._states.news()
        if self._state.is_final:
            raise self._ended()

    # --- reading --------------------------------------------------------------------

    async def _read(self) -> None:
        """Read the socket, reconnect when it is lost, until the call is over."""
        while True:
            async for message in self._link.messages():
                if isinstance(message, bytes):
                    self._audio.put(message)
                else:
                    self._receive(message)
            if not self._may_return():
                break
            self._enter(State.RECONNECTING)
            query = fields(id=self.id, resume=self._token, seq=str(self._seq))
            if not await self._link.reopen(query, self._resume_s):
                break
        self._finish()

    def _may_return(self) -> bool:
        meant = self._link.close_code in _FINAL_CODES or self.end is not None or self._closing
        return bool(self._token) and not meant

    def _finish(self) -> None:
        """Close the queues: readers and pending commands end."""
        if self._state.is_final and self._inbox.closed:
            return
        meant = self.end is not None or self._closing
        self._inbox.close()
        self._audio.close()
        self._replies.fail(self._ended())
        self._enter(State.DISCONNECTED if meant else State.FAILED)
        self._states.close()

    def _receive(self, text: str) -> None:
        try:
            event = decode(text)
        except NotAnEventError as error:
            event = Error(timestamp=0, track_id="", sender="client", error=str(error))
        if event.seq is not None and not isinstance(event, Resumed | Binary):
            # `resumed` carries the number of the last event that was replayed, not a number of its own;
            # events with audio are counted apart.
            if event.seq <= self._seq:
                return
            self._seq = event.seq
        if self._replies.settle(event):
            return
        match event:
            case Answer():
                self.answer = self.answer if event.refer else event
                self.id = self.id or event.track_id
                # Later tokens come with `resumed`; an answer that is replayed has the first one.
                self._token = self._token or event.resume or ""
                self._enter(State.CONNECTED)
            case Incoming():
                self.incoming = event
                self.id = self.id or event.track_id
            case Resumed():
                self._token = event.resume or self._token
                # Acknowledgements have been replayed by now: commands still waiting never reached the switch.
                self._replies.fail(ConnectionLostError("the command was lost with the socket"))
                self._enter(State.CONNECTED)
            case Hangup():
                self.end = event
            case Reject():
                self._rejection = event
            case Error():
                self._refusal = event
        self._inbox.put(event)

    def _ended(self) -> ClientError:
        """Return the error that says why no further event will come."""
        if self.end is not None:
            end = self.end
            return CallEndedError(
                f"the call is over: {end.reason}", reason=end.reason, initiator=end.initiator
            )
        if self._closing:
            return CallEndedError("the call was closed", initiator="user")
        code = self._link.close_code
        if self.answer is None and self._refusal is not None:
            return ConnectionFailedError(f"the switch refused: {self._refusal.error}")
        return ConnectionLostError(f"the connection was lost (close code {code})", code=code)


def _text(message: Mapping[str, Any]) -> str:
    try:
        return msgspec.json.encode(message).decode()
    except (TypeError, UnicodeEncodeError) as error:
        raise CommandFailedError(f"the command cannot be written as JSON: {error}") from None
