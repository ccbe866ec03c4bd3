"""Carries out the effects of one call, each by the part of the house that it concerns."""

import asyncio
import contextlib
from functools import partial

from softswitch.call import effects as fx
from softswitch.call import reports as r
from softswitch.call.commands import CommandRejected
from softswitch.call.effects import Effect
from softswitch.call.needs import EndpointFactory
from softswitch.media import messages as m
from softswitch.switch.call_streams import CallStreams
from softswitch.switch.legs import Legs
from softswitch.switch.listening import Transcriber
from softswitch.switch.owner import Owner
from softswitch.switch.recording import CallRecording
from softswitch.switch.streams import MediaPass
from softswitch.switch.tracks import Tracks

RELEASE_S = 5.0
"""How long closing endpoints and recordings may take before they are left to themselves."""


class Carrier:
    """The hands of one conversation."""

    def __init__(self, owner: Owner, party: EndpointFactory | None) -> None:
        """Hold nothing yet; ``party`` makes the endpoint of the client's own leg, None: by the callee."""
        self._owner = owner
        self._resources = owner.resources
        self.mix = next(self._resources.ids)
        self._transcribers: dict[str, Transcriber] = {}
        self.legs = Legs(owner, self.mix, party, partial(_speech_started, self._transcribers))
        self.recording = CallRecording(owner)
        self.streams = CallStreams(owner, self.mix)
        self._tracks = Tracks(owner, self.mix)
        self._shared: list[int] = []
        self._detecting: set[str] = set()
        """Legs with speech detection."""

    def carry(self, effect: Effect) -> None:
        """Do what the call decided; raises CommandRejected where it cannot be done."""
        match effect:
            case fx.OpenPlayback():
                self._tracks.open(effect)
            case fx.SpeakText() | fx.SpeakAudio() | fx.PlayUrl() | fx.CompleteText() | fx.MarkPlayback():
                self._tracks.give(effect)
            case fx.EndPlayback() | fx.DropPlayback() | fx.PausePlayback() | fx.SetPlaybackGain():
                self._tracks.change(effect)
            case fx.JoinCalls():
                if wrong := self._owner.bridges.join(self._owner, effect.other):
                    raise CommandRejected(wrong, 404, request_id=effect.request_id)
            case fx.PartCalls():
                self._owner.bridges.part(self._owner, effect.other)
            case fx.JoinDialog():
                self._owner.bridges.join_dialog(self._owner, effect.leg, effect.replaces)
            case fx.PassDigits():
                self._owner.bridges.pass_digits(effect.other, effect.digits)
            case fx.PrepareLeg():
                self.legs.prepare(effect)
            case fx.OpenLeg():
                self.legs.open(effect)
            case fx.CloseLeg():
                self._close_leg(effect)
            case fx.RejectLeg():
                self.legs.reject(effect.leg, effect.code, effect.reason)
            case fx.SendLegMessage() | fx.ReferLeg() | fx.AcceptTransfer() | fx.TellTransfer():
                self._carry_telephone(effect)
            case _:
                self._carry_leg(effect)

    def _close_leg(self, effect: fx.CloseLeg) -> None:
        self._detecting.discard(effect.leg)
        self.legs.close(effect.leg, effect.reason, effect.headers)

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

    def _carry_leg(self, effect: Effect) -> None:
        match effect:
            case fx.RingLeg():
                self.legs.endpoint(effect.leg).ring(effect.early_media)
            case fx.OfferLeg():
                self.legs.endpoint(effect.leg).offer(effect.sdp)
            case fx.AddLegCandidates():
                self.legs.endpoint(effect.leg).candidates(effect.candidates)
            case fx.SendLegDigits():
                self.legs.endpoint(effect.leg).dtmf(effect.digits)
            case fx.MuteLeg():
                self._post(m.SetMuted(self.legs.port(effect.leg), effect.muted))
            case fx.DetectTones():
                self._post(m.SetInbandDtmf(self.legs.port(effect.leg), on=True))
            case fx.Denoise():
                self._post(m.SetDenoise(self.legs.port(effect.leg), on=True))
            case fx.DetectSpeech():
                self._detect(effect)
            case fx.Transcribe():
                self._transcribe(effect)
            case fx.FinalizeUtterance():
                if transcriber := self._transcribers.get(effect.leg):
                    transcriber.finalize()
            case fx.Record():
                self._owner.spawn(self.recording.start(self.legs.port(effect.leg), effect.option))
            case fx.PassMedia():
                stream = MediaPass(self.legs.port(effect.leg), self.mix, self._resources, self._owner.report)
                self._owner.spawn(stream.run(effect.option))
            case fx.OpenStream() | fx.CloseStream() | fx.TellStream():
                self.streams.carry(effect, self.legs.port)
            case fx.ShareAudio():
                self._share(self.legs.port(effect.leg))
            case _:
                raise TypeError(f"nobody carries out {type(effect).__name__}")

    def detects(self, leg: str) -> bool:
        """Tell whether a leg has speech detection."""
        return leg in self._detecting

    async def release(self) -> None:
        """Give back everything, within a bounded time; a second time does nothing."""
        self.recording.stop()
        self._tracks.release()
        for tap in self._shared:
            self._post(m.RemoveTap(tap))
            self._resources.routes.remove(tap)
        self._shared.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RELEASE_S):
                await asyncio.gather(self.streams.release(), self.legs.release())
                await self.recording.closed.wait()
        self.legs.forget()

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
        transcriber = Transcriber(effect.leg, port, self._resources, self._owner.report, gated)
        self._transcribers[effect.leg] = transcriber
        self._owner.spawn(transcriber.run(effect.option))

    def _share(self, port: int) -> None:
        """Tap both sides: 0 is ours (what the port hears), 1 the party's (what it says)."""
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
