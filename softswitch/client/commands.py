"""What a client may ask of its call, one method per command of the dialect."""

import base64
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any


def fields(**given: Any) -> dict[str, Any]:
    """Return what was given, without what was left out."""
    return {key: value for key, value in given.items() if value is not None}


class Commands(ABC):
    """The commands; how one is sent is the business of who inherits them."""

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
            text: what to say.
            play_id: the same as what plays: it is said behind it; another: what plays is interrupted.
            speaker: the voice.
            auto_hangup: hang up once all of it was heard.
            streaming: more text for this `play_id` follows.
            end_of_stream: nothing more for this `play_id` follows.
            wait_input_ms: how long to wait for the party afterwards before ``silence`` is reported.
            layer: sound along with what plays, instead of after it.
            option: provider, voice, speed and so on.
            wait: for the acknowledgement.
        """
        body = fields(
            text=text, playId=play_id, speaker=speaker, autoHangup=auto_hangup, streaming=streaming,
            endOfStream=end_of_stream, waitInputTimeout=wait_input_ms, layer=layer, option=option,
        )  # fmt: skip
        await self.command("tts", body, wait=wait)

    async def say_stream(
        self, pieces: AsyncIterator[str], *, play_id: str, speaker: str | None = None
    ) -> None:
        """Speak a text while it is still being written, as by a language model."""
        async for piece in pieces:
            await self.say(piece, play_id=play_id, speaker=speaker, streaming=True, wait=False)
        await self.say("", play_id=play_id, speaker=speaker, streaming=True, end_of_stream=True)

    async def say_pcm(self, pcm: bytes, *, sample_rate: int = 16000, play_id: str | None = None) -> None:
        """Play PCM16 little-endian audio through the playback, in order with what is spoken."""
        body = fields(
            text=base64.b64encode(pcm).decode("ascii"), base64=True, playId=play_id,
            option={"samplerate": sample_rate},
        )  # fmt: skip
        await self.command("tts", body)

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
        """Play an audio file that the switch fetches from `url`; the rest is as for :meth:`say`."""
        body = fields(
            url=url, playId=play_id, autoHangup=auto_hangup, loop=loop, gain=gain, layer=layer,
            offsetMs=offset_ms, waitInputTimeout=wait_input_ms,
        )  # fmt: skip
        await self.command("play", body)

    async def interrupt(
        self, *, play_id: str | None = None, fade_ms: int | None = None, graceful: bool | None = None
    ) -> None:
        """Stop what plays; `graceful` lets the sentence be finished."""
        await self.command("interrupt", fields(playId=play_id, fadeOutMs=fade_ms, graceful=graceful))

    async def pause(self) -> None:
        """Hold what plays."""
        await self.command("pause")

    async def resume(self) -> None:
        """Go on with what was paused."""
        await self.command("resume")

    async def mute(self, track_id: str | None = None) -> None:
        """Silence a track, or all."""
        await self.command("mute", fields(trackId=track_id))

    async def unmute(self, track_id: str | None = None) -> None:
        """Let a track, or all, be heard again."""
        await self.command("unmute", fields(trackId=track_id))

    async def mark(self, name: str) -> None:
        """Ask to be told when the playback passes what was queued up to now."""
        await self.command("mark", {"name": name})

    async def dtmf(self, digits: str) -> None:
        """Press keys for the far end: ``0``-``9``, ``*``, ``#``, ``A``-``D``; a comma is a pause."""
        await self.command("dtmf", {"digits": digits})

    async def collect(
        self,
        *,
        min_digits: int | None = None,
        max_digits: int | None = None,
        terminators: str | None = None,
        timeout_ms: int | None = None,
        barge_in: bool | None = None,
    ) -> None:
        """Gather digits from the party; a ``collect`` event brings them."""
        body = fields(
            minDigits=min_digits, maxDigits=max_digits, terminators=terminators, timeoutMs=timeout_ms,
            bargeIn=barge_in,
        )  # fmt: skip
        await self.command("collect", body)

    async def candidates(self, candidates: Sequence[str | Mapping[str, Any]]) -> None:
        """Add ICE candidates, as texts or as what ``RTCIceCandidate.toJSON`` gives."""
        await self.command("candidate", {"candidates": list(candidates)})

    async def accept(self, option: Mapping[str, Any] | None = None) -> None:
        """Accept an incoming call."""
        await self.command("accept", {"option": dict(option or {})}, wait=False)

    async def ring(
        self,
        *,
        early_media: bool | None = None,
        ringtone: str | None = None,
        recorder: Mapping[str, Any] | None = None,
    ) -> None:
        """Alert the caller of an incoming call.

        Args:
            early_media: let the caller hear us before the answer; then texts and files may be played, too.
            ringtone: URL of a file to hear as ringback; it means early media.
            recorder: record from now on, in the spelling of ``option.recorder``.
        """
        await self.command("ringing", fields(earlyMedia=early_media, ringtone=ringtone, recorder=recorder))

    async def reject(self, *, code: int | None = None, reason: str | None = None) -> None:
        """Refuse an incoming call with a SIP status."""
        await self.command("reject", fields(code=code, reason=reason), wait=False)

    async def refer(
        self, callee: str, *, caller: str | None = None, options: Mapping[str, Any] | None = None
    ) -> None:
        """Call somebody else and connect him with the party.

        After a ``transferRequest`` it carries the far end's transfer out: whoever answers takes its place.
        """
        await self.command("refer", fields(callee=callee, caller=caller, options=options))

    async def transfer(self, target: str, *, options: Mapping[str, Any] | None = None) -> None:
        """Ask the party's telephone to call `target` by itself (SIP REFER), and hang up once it has."""
        await self.command("refer", fields(callee=target, method="refer", options=options))

    async def bridge(self, session_id: str) -> None:
        """Let this call and another hear each other."""
        await self.command("bridge", {"targetSessionId": session_id})

    async def unbridge(self) -> None:
        """Part the calls again."""
        await self.command("unbridge")

    async def history(self, speaker: str, text: str) -> None:
        """Note a line of the conversation."""
        await self.command("history", {"speaker": speaker, "text": text})

    async def message(self, body: str, content_type: str | None = None) -> None:
        """Send a text to the far end."""
        await self.command("message", fields(body=body, contentType=content_type))

    async def custom(self, data: Any, sender: str | None = None) -> None:
        """Tell all who follow this call something of the application's own."""
        await self.command("custom", fields(data=data, sender=sender))
