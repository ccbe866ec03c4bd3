"""Commands of a client to its call: one method for each command of the dialect.

The methods build the structs of :mod:`softswitch.protocol.call_commands`, which the switch reads.
"""

import base64
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from softswitch.client.errors import CommandFailedError
from softswitch.protocol import call_commands as w


def fields(**given: Any) -> dict[str, Any]:
    """Return the arguments that are not None."""
    return {key: value for key, value in given.items() if value is not None}


class Commands(ABC):
    """Base of calls: one method for each command; a subclass sends them."""

    @abstractmethod
    async def command(
        self, command: str, body: Mapping[str, Any] | None = None, *, wait: bool = True
    ) -> None:
        """Send a command.

        Args:
            command: its name on the wire.
            body: its other fields, in the wire's spelling.
            wait: until the switch has acknowledged it.

        Raises:
            CommandFailedError: the switch refused it.
            CallEndedError: the call is over.
            ConnectionLostError: the connection broke before it was acknowledged.
            TimeoutError: no acknowledgement came in time.
        """

    async def _give(self, command: w.Command, *, wait: bool = True, **raw: Any) -> None:
        """Send a command given as its struct.

        Args:
            command: fields with their default are left out.
            wait: until the switch has acknowledged it.
            raw: fields in the wire's spelling that stand as they are: options may have keys that only a
                provider knows; those that are None are left out.

        Raises:
            CommandFailedError: a value is not one that JSON has.
        """
        try:
            body = msgspec.to_builtins(command) | fields(**raw)
        except TypeError as error:
            raise CommandFailedError(f"the command cannot be written as JSON: {error}") from None
        await self.command(body.pop("command"), body, wait=wait)

    async def say(
        self,
        text: str,
        *,
        play_id: str | None = None,
        speaker: str | None = None,
        auto_hangup: bool | None = None,
        streaming: bool | None = None,
        end_of_stream: bool | None = None,
        wait_input_ms: int | None = None,
        layer: str | None = None,
        option: Mapping[str, Any] | None = None,
        wait: bool = True,
    ) -> None:
        """Speak a text.

        Args:
            text: the text.
            play_id: the id of the current playback queues the text behind it; another id interrupts it.
            speaker: the voice.
            auto_hangup: hang up when all of it was heard.
            streaming: more text for this `play_id` follows.
            end_of_stream: no further text for this `play_id` follows.
            wait_input_ms: milliseconds to wait for the party afterwards before ``silence`` is reported.
            layer: play at the same time as other layers, instead of after the current playback.
            option: provider, voice, speed and so on, in the wire's spelling.
            wait: wait for the acknowledgement.
        """
        given = fields(
            play_id=play_id,
            speaker=speaker,
            auto_hangup=auto_hangup,
            streaming=streaming,
            end_of_stream=end_of_stream,
            wait_input_timeout=wait_input_ms,
            layer=layer,
        )
        # An empty text is sent, too: it ends a streamed one.
        await self._give(w.TtsCommand(**given), text=text, option=option, wait=wait)

    async def say_stream(
        self, pieces: AsyncIterator[str], *, play_id: str, speaker: str | None = None
    ) -> None:
        """Speak a text whose pieces arrive one after another, as from a language model."""
        async for piece in pieces:
            await self.say(piece, play_id=play_id, speaker=speaker, streaming=True, wait=False)
        await self.say("", play_id=play_id, speaker=speaker, streaming=True, end_of_stream=True)

    async def say_pcm(self, pcm: bytes, *, sample_rate: int = 16000, play_id: str | None = None) -> None:
        """Play PCM16 little-endian audio, queued like spoken text."""
        text = base64.b64encode(pcm).decode("ascii")
        say = w.TtsCommand(text=text, base64=True, play_id=play_id)
        await self._give(say, option={"samplerate": sample_rate})

    async def play(
        self,
        url: str,
        *,
        play_id: str | None = None,
        auto_hangup: bool | None = None,
        loop: bool | None = None,
        gain: float | None = None,
        layer: str | None = None,
        offset_ms: int | None = None,
        wait_input_ms: int | None = None,
    ) -> None:
        """Play an audio file that the switch fetches from `url`; other arguments are those of :meth:`say`."""
        given = fields(
            play_id=play_id,
            auto_hangup=auto_hangup,
            loop=loop,
            gain=gain,
            layer=layer,
            offset_ms=offset_ms,
            wait_input_timeout=wait_input_ms,
        )
        await self._give(w.Play(url=url, **given))

    async def interrupt(
        self, *, play_id: str | None = None, fade_ms: int | None = None, graceful: bool | None = None
    ) -> None:
        """Stop the playback; `graceful` plays the sentence to its end first."""
        await self._give(w.Interrupt(**fields(play_id=play_id, fade_out_ms=fade_ms, graceful=graceful)))

    async def pause(self) -> None:
        """Pause the playback."""
        await self._give(w.Pause())

    async def resume(self) -> None:
        """Resume the playback that was paused."""
        await self._give(w.Resume())

    async def mute(self, track_id: str | None = None) -> None:
        """Mute a track, or all tracks."""
        await self._give(w.Mute(track_id=track_id))

    async def unmute(self, track_id: str | None = None) -> None:
        """Unmute a track, or all tracks."""
        await self._give(w.Unmute(track_id=track_id))

    async def record(
        self,
        action: Literal["start", "pause", "resume", "stop"] = "start",
        recorder: w.Recorder | None = None,
    ) -> None:
        """Start, pause, resume or stop the recording; what is said while it is paused is not recorded."""
        await self._give(w.Record(action=action, recorder=recorder))

    async def supervise(
        self,
        mode: Literal["listen", "whisper", "join", "takeOver", "stop"] = "listen",
        call: str = "",
        *,
        side: Literal["first", "second"] | None = None,
        transcript: bool | None = None,
        auto_hangup: bool = False,
    ) -> None:
        """Supervise a live call with this one, change how, or end that.

        Args:
            mode: Who hears this call's party: none, the agent alone, all; or it takes the agent's place.
            call: Id of the live call, or name of a user in one; empty: the one that is supervised now.
            side: The side of the agent; None: as it was, at first as the switch sees it.
            transcript: Whether both sides are transcribed (events ``overheard``); None: as it was.
            auto_hangup: End this call with the supervision.
        """
        await self._give(
            w.Supervise(
                mode=mode,
                target_session_id=call,
                side=side,
                transcript=transcript,
                auto_hangup=auto_hangup,
            )
        )

    async def mark(self, name: str) -> None:
        """Ask for a ``mark`` event when the playback passes everything that is queued now."""
        await self._give(w.Mark(name=name))

    async def dtmf(self, digits: str) -> None:
        """Send digits to the remote party: ``0``-``9``, ``*``, ``#``, ``A``-``D``; a comma is a pause."""
        await self._give(w.Dtmf(digits=digits))

    async def collect(
        self,
        *,
        min_digits: int | None = None,
        max_digits: int | None = None,
        terminators: str | None = None,
        timeout_ms: int | None = None,
        barge_in: bool | None = None,
    ) -> None:
        """Collect digits that the party presses; a ``collect`` event brings them."""
        given = fields(
            min_digits=min_digits,
            max_digits=max_digits,
            terminators=terminators,
            timeout_ms=timeout_ms,
            barge_in=barge_in,
        )
        await self._give(w.Collect(**given))

    async def tool_result(self, tool_call_id: str, result: Any = None, *, failed: bool = False) -> None:
        """Answer a ``toolCall`` event: `result` is any JSON; with `failed` it says why the tool failed."""
        await self._give(
            w.ToolResult(tool_call_id=tool_call_id, **fields(failed=failed or None)), result=result
        )

    async def candidates(self, candidates: Sequence[str | Mapping[str, Any]]) -> None:
        """Add ICE candidates: texts, or the objects of ``RTCIceCandidate.toJSON``."""
        await self._give(w.Candidate(candidates=[]), candidates=list(candidates))

    async def accept(self, option: Mapping[str, Any] | None = None) -> None:
        """Accept an incoming call."""
        await self._give(w.Accept(), option=dict(option or {}), wait=False)

    async def ring(
        self,
        *,
        early_media: bool | None = None,
        ringtone: str | None = None,
        recorder: Mapping[str, Any] | None = None,
    ) -> None:
        """Alert the caller of an incoming call.

        Args:
            early_media: send audio to the caller before the answer: texts and files may be played.
            ringtone: URL of a file to play as ringback; it means early media.
            recorder: record from now on; the keys are those of ``option.recorder``.
        """
        ringing = w.Ringing(**fields(early_media=early_media, ringtone=ringtone))
        await self._give(ringing, recorder=recorder)

    async def reject(self, *, code: int | None = None, reason: str | None = None) -> None:
        """Refuse an incoming call with a SIP status."""
        await self._give(w.Reject(**fields(code=code, reason=reason)), wait=False)

    async def refer(
        self, callee: str, *, caller: str | None = None, options: Mapping[str, Any] | None = None
    ) -> None:
        """Call another party and connect it with the party of this call.

        After a ``transferRequest`` it carries out the transfer that the remote party asked for: the callee
        that answers takes its place.
        """
        await self._give(w.Refer(callee=callee, **fields(caller=caller)), options=options)

    async def transfer(self, target: str, *, options: Mapping[str, Any] | None = None) -> None:
        """Ask the party's telephone to call `target` itself (SIP REFER), and hang up when it has."""
        await self._give(w.Refer(callee=target, method="refer"), options=options)

    async def bridge(self, session_id: str) -> None:
        """Join this call and another: their parties hear each other."""
        await self._give(w.Bridge(target_session_id=session_id))

    async def unbridge(self) -> None:
        """Separate the calls again."""
        await self._give(w.Unbridge())

    async def history(self, speaker: str, text: str) -> None:
        """Add a line to the history of the conversation."""
        await self._give(w.History(speaker=speaker, text=text))

    async def message(self, body: str, content_type: str | None = None) -> None:
        """Send a text to the remote party."""
        await self._give(w.Message(body=body, **fields(content_type=content_type)))

    async def custom(self, data: Any, sender: str | None = None) -> None:
        """Send an event of the application's own to all subscribers of this call."""
        await self._give(w.Custom(**fields(sender=sender)), data=data)
