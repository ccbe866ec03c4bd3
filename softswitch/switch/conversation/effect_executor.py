"""Executor of the effects of one call."""

import asyncio
import contextlib
from functools import partial
from typing import assert_never

from softswitch.call.interfaces import EndpointFactory
from softswitch.call.vocabulary import effects as fx
from softswitch.call.vocabulary import reports as r
from softswitch.call.vocabulary.effects import Effect
from softswitch.media import messages as m
from softswitch.speech.provider import Meter
from softswitch.switch.conversation.answer_detection import AnswerDetection
from softswitch.switch.conversation.legs import Legs
from softswitch.switch.conversation.media_pass import MediaPass
from softswitch.switch.conversation.naming import to_port
from softswitch.switch.conversation.owner import Owner
from softswitch.switch.conversation.recognition import Transcriber
from softswitch.switch.conversation.recording import CallRecording
from softswitch.switch.conversation.streams import CallStreams
from softswitch.switch.conversation.tone_detection import ToneDetection
from softswitch.switch.conversation.tracks import Tracks
from softswitch.switch.conversation.transcript import LiveTranscript

RELEASE_S = 5.0
"""Longest time to close endpoints, streams and recordings, seconds."""


class EffectExecutor:
    """Executor of the effects of one call, by its legs, tracks, streams, recording and recognition."""

    def __init__(self, owner: Owner, party: EndpointFactory | None) -> None:
        """Make an executor.

        Args:
            owner: The conversation.
            party: Makes the endpoint of the client or caller; None: the party is dialled by its callee.
        """
        self._owner = owner
        self._resources = owner.resources
        self.mix = next(self._resources.ids)
        self._transcribers: dict[str, Transcriber] = {}
        self.legs = Legs(owner, self.mix, party, partial(_speech_started, self._transcribers))
        self._tones = ToneDetection(owner.resources)
        self.recording = CallRecording(owner)
        self.streams = CallStreams(owner, self.mix)
        self.meter = Meter()
        """What the call uses of hosted speech."""
        self.transcript = LiveTranscript()
        """What was said, where it is kept."""
        self._tracks = Tracks(owner, self.mix, self.meter)
        self._shared: list[int] = []
        self._detecting: set[str] = set()
        """Legs with speech detection."""

    def carry(self, effect: Effect) -> None:
        """Execute one effect.

        Raises:
            CommandRejected: The effect cannot be executed; the call lives on.
        """
        match effect:
            # What every call has comes first: each class that does not fit costs a look.
            case fx.CloseLeg():
                self._detecting.discard(effect.leg)
                self._tones.end(effect.leg)
                self.legs.close(effect.leg, effect.reason, effect.headers)
            case (
                fx.OpenLeg() | fx.RingLeg() | fx.PrepareLeg() | fx.RejectLeg() | fx.OfferLeg()
                | fx.AddLegCandidates() | fx.SendLegDigits()
            ):  # fmt: skip
                self.legs.carry(effect)
            case fx.PortMessage():
                self._post(to_port(effect, self.legs.port(effect.leg)))
            case (
                fx.PlaceMark() | fx.SpeakText() | fx.SpeakAudio() | fx.PlayUrl() | fx.PlaySound()
                | fx.CompleteText()
            ):  # fmt: skip
                self._tracks.give(effect)
            case fx.TrackMessage():
                self._tracks.change(effect)
            case fx.OpenPlayback():
                self._tracks.open(effect)
            case (
                fx.JoinCalls() | fx.PartCalls() | fx.JoinDialog() | fx.PassDigits() | fx.TellHold()
                | fx.SuperviseCall()
            ):  # fmt: skip
                self._carry_bridge(effect)
            case fx.OpenStream() | fx.CloseStream() | fx.TellStream():
                self.streams.carry(effect, self.legs.port)
            case (
                fx.DetectSpeech() | fx.Transcribe() | fx.DetectAnswer() | fx.DetectTones()
                | fx.FinalizeUtterance()
            ):  # fmt: skip
                self._listen(effect)
            case fx.Record():
                self._owner.spawn(self.recording.start(self.legs.port(effect.leg), effect.option))
            case fx.ChangeRecording():
                self.recording.change(effect.action)
            case fx.PassMedia():
                self._pass_media(effect)
            case fx.ShareAudio():
                self._share(self.legs.port(effect.leg))
            case fx.SendLegMessage() | fx.ReferLeg() | fx.AcceptTransfer() | fx.TellTransfer():
                self._carry_telephone(effect)
            case fx.CloseCall():
                raise TypeError("CloseCall ends the conversation itself and has no executor")
            case _:
                assert_never(effect)

    def _carry_bridge(
        self,
        effect: fx.JoinCalls | fx.PartCalls | fx.JoinDialog | fx.PassDigits | fx.TellHold | fx.SuperviseCall,
    ) -> None:
        match effect:
            case fx.SuperviseCall():
                self._owner.bridges.supervise(self._owner, effect)
            case fx.JoinCalls():
                self._owner.bridges.join(self._owner, effect.other, effect.request_id)
            case fx.PartCalls():
                self._owner.bridges.part(self._owner, effect.other)
            case fx.JoinDialog():
                self._owner.bridges.join_dialog(self._owner, effect.leg, effect.replaces)
            case fx.PassDigits():
                self._owner.bridges.pass_digits(self._owner, effect.other, effect.digits)
            case fx.TellHold():
                self._owner.bridges.tell_hold(effect.other, effect.held)
            case _:
                assert_never(effect)

    def _carry_telephone(
        self, effect: fx.SendLegMessage | fx.ReferLeg | fx.AcceptTransfer | fx.TellTransfer
    ) -> None:
        match effect:
            case fx.SendLegMessage():
                leg = self.legs.telephone(effect.leg, "message", effect.request_id)
                leg.message(effect.body, effect.content_type)
            case fx.ReferLeg():
                leg = self.legs.telephone(effect.leg, "refer", effect.request_id)
                leg.refer(effect.target, effect.headers)
            case fx.AcceptTransfer():
                self.legs.telephone(effect.leg, "transfer").accept_transfer()
            case fx.TellTransfer():
                self.legs.telephone(effect.leg, "transfer").transfer_progress(effect.code, effect.reason)
            case _:
                assert_never(effect)

    def _pass_media(self, effect: fx.PassMedia) -> None:
        port, owner = self.legs.port(effect.leg), self._owner
        stream = MediaPass(port, self.mix, self._resources, owner.report, owner.asker)
        owner.spawn(stream.run(effect.option))

    def detects(self, leg: str) -> bool:
        """Whether a leg has speech detection."""
        return leg in self._detecting

    async def release(self) -> None:
        """Release everything within a bounded time; idempotent."""
        self.recording.stop()
        self._tracks.release()
        self._tones.release()
        for tap in self._shared:
            self._post(m.RemoveTap(tap))
            self._resources.routes.remove(tap)
        self._shared.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RELEASE_S):
                if self.streams.is_empty:
                    await self.legs.release()
                else:
                    await asyncio.gather(self.streams.release(), self.legs.release())
                await self.recording.closed.wait()
        self.legs.forget()

    def _listen(
        self,
        effect: fx.DetectSpeech | fx.Transcribe | fx.DetectAnswer | fx.DetectTones | fx.FinalizeUtterance,
    ) -> None:
        match effect:
            case fx.DetectSpeech():
                self._detect(effect)
            case fx.Transcribe():
                self._transcribe(effect)
            case fx.DetectAnswer():
                owner, port = self._owner, self.legs.port(effect.leg)
                detection = AnswerDetection(
                    effect.leg, port, self._resources, owner.report, asker=owner.asker, meter=self.meter
                )
                owner.spawn(detection.run(effect.option))
            case fx.DetectTones(leg, on):
                if on:
                    self._tones.begin(leg, self.legs.port(leg), self._owner.report)
                else:
                    self._tones.end(leg)
            case fx.FinalizeUtterance():
                if transcriber := self._transcribers.get(effect.leg):
                    transcriber.finalize()
            case _:
                assert_never(effect)

    def _detect(self, effect: fx.DetectSpeech) -> None:
        self._detecting.add(effect.leg)
        option, default = effect.option, self._resources.settings.speech.vad
        kind = option.kind or default
        known = self._resources.providers.vads()
        if kind not in known:
            there_are = ", ".join(sorted(known)) or "none"
            warning = f"vad provider {kind!r} is unknown (there are: {there_are})"
            self._owner.report(r.SpeechWarned("vad", warning, 404))
            kind = default if default in known else next(iter(sorted(known)), "")
        self._post(
            m.SetVad(self.legs.port(effect.leg), kind, option.threshold, option.start_ms, option.stop_ms)
        )

    def _transcribe(self, effect: fx.Transcribe) -> None:
        gated = effect.leg in self._detecting
        port = self.legs.port(effect.leg)
        transcriber = Transcriber(
            effect.leg,
            port,
            self._resources,
            self._owner.report,
            gated,
            asker=self._owner.asker,
            meter=self.meter,
        )
        self._transcribers[effect.leg] = transcriber
        self._owner.spawn(transcriber.run(effect.option))

    def _share(self, port: int) -> None:
        """Tap both directions of a port: side 0 is what it hears, side 1 what it says."""
        outbound, inbound = next(self._resources.ids), next(self._resources.ids)
        self._shared += (outbound, inbound)
        self._resources.routes.frames(outbound, lambda pcm: self._owner.share_audio(0, pcm))
        self._resources.routes.frames(inbound, lambda pcm: self._owner.share_audio(1, pcm))
        self._post(m.AddTap(outbound, port, "outbound", 16000))
        self._post(m.AddTap(inbound, port, "inbound", 16000))

    def _post(self, message: m.Message) -> None:
        self._resources.engine.post(message)


def _speech_started(transcribers: dict[str, Transcriber], leg: str) -> None:
    if transcriber := transcribers.get(leg):
        transcriber.speech_started()
