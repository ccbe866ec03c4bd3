"""Carries out the effects of one call: legs, tracks, taps and recorders in the engine, sources and speech."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from softswitch.call import effects as fx
from softswitch.call import reports as r
from softswitch.call.call import Call
from softswitch.call.commands import CommandRejected
from softswitch.call.effects import Effect
from softswitch.call.needs import Endpoint, EndpointFactory, LegRequest
from softswitch.errors import SoftswitchError
from softswitch.media import messages as m
from softswitch.store.store import Recording
from softswitch.switch.listening import Transcriber
from softswitch.switch.resources import Resources
from softswitch.switch.sources import LOW_MS, TrackSource
from softswitch.switch.streams import MediaPass

logger = logging.getLogger(__name__)

RELEASE_S = 5.0
"""How long closing endpoints and recordings may take before they are left to themselves."""


class Owner(Protocol):
    """The conversation that a carrier works for."""

    resources: Resources
    call: Call

    @property
    def id(self) -> str:
        """Return the session id."""

    def report(self, report: r.Report) -> None:
        """Take a report; never raises."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something as part of the call."""

    def share_audio(self, side: int, pcm: bytes) -> None:
        """Give subscribers the audio of one side."""

    def join_call(self, other: str) -> str | None:
        """Join with another call; return what is wrong, or None."""

    def part_call(self, other: str) -> None:
        """Part from another call."""


class Carrier:
    """The hands of one conversation."""

    def __init__(self, conversation: Owner, party: EndpointFactory) -> None:
        """Hold nothing yet; ``party`` makes the endpoint of the client's own leg."""
        self._conversation = conversation
        self._resources = conversation.resources
        self._party = party
        self.mix = next(self._resources.ids)
        self._endpoints: dict[str, Endpoint] = {}
        self._ports: dict[str, int] = {}
        self._legs: dict[int, str] = {}
        self._tracks: dict[int, tuple[int, TrackSource]] = {}
        self._numbers: dict[int, int] = {}
        self._source_tasks: dict[int, asyncio.Task[None]] = {}
        self._transcribers: dict[str, Transcriber] = {}
        self._shared: list[int] = []
        self._recorder: int | None = None
        self._recorded = asyncio.Event()
        self._recorded.set()
        self._closing: list[Endpoint] = []
        self.recording = ""
        self.statistics: dict[str, dict[str, float]] = {}

    def port(self, leg: str) -> int:
        """Return the engine's number of a leg's port; 0 where the leg is not there."""
        return self._ports.get(leg, 0)

    def ports(self) -> list[int]:
        """Return the ports of all legs."""
        return list(self._ports.values())

    def carry(self, effect: Effect) -> None:
        """Do what the call decided; raises CommandRejected where it cannot be done."""
        match effect:
            case fx.OpenLeg():
                self._open_leg(effect)
            case fx.RingLeg():
                self._endpoints[effect.leg].ring(effect.early_media)
            case fx.RejectLeg():
                self._close_leg(effect.leg, effect.reason, {})
            case fx.OfferLeg():
                self._endpoints[effect.leg].offer(effect.sdp)
            case fx.AddLegCandidates():
                self._endpoints[effect.leg].candidates(effect.candidates)
            case fx.CloseLeg():
                self._close_leg(effect.leg, effect.reason, effect.headers)
            case fx.MuteLeg():
                self._post(m.SetMuted(self._ports[effect.leg], effect.muted))
            case fx.SendLegDigits():
                self._endpoints[effect.leg].dtmf(effect.digits)
            case fx.SendLegMessage():
                raise CommandRejected("message: this leg has no way to carry a text", 422)
            case fx.JoinCalls():
                if wrong := self._conversation.join_call(effect.other):
                    raise CommandRejected(wrong, 404, request_id=effect.request_id)
            case fx.PartCalls():
                self._conversation.part_call(effect.other)
            case _:
                self._carry_playback(effect)

    # --- legs -------------------------------------------------------------------------

    def _open_leg(self, effect: fx.OpenLeg) -> None:
        factory = self._party if not effect.callee else self._dialer(effect.callee)
        if factory is None:
            reason = f"callee: nobody here can reach {effect.callee!r}"
            self._report(r.LegRejected(effect.leg, 404, reason))
            return
        port = next(self._resources.ids)
        option = effect.option
        request = LegRequest(
            call=self._conversation.id,
            leg=effect.leg,
            port=port,
            mix=self.mix,
            offer="" if effect.callee else option.offer,
            codec=option.codec,
            sample_rate=option.sample_rate,
            caller=option.caller,
            callee=effect.callee or option.callee,
            headers=option.headers,
            handshake_s=option.handshake_s,
        )
        self._ports[effect.leg] = port
        self._legs[port] = effect.leg
        self._resources.routes.reports(port, self._port_report)
        endpoint = factory(request, self._report)
        self._endpoints[effect.leg] = endpoint
        endpoint.answer()

    def _dialer(self, callee: str) -> EndpointFactory | None:
        return self._resources.dialers.get(callee.partition(":")[0])

    def _close_leg(self, leg: str, reason: str, headers: dict[str, str]) -> None:
        endpoint = self._endpoints.pop(leg, None)
        port = self._ports.pop(leg, None)
        if endpoint is not None:
            endpoint.hangup(reason, headers)
            self._closing.append(endpoint)
        elif port is not None:
            self._resources.routes.remove(port)

    def _port_report(self, report: m.Report) -> None:
        leg = self._legs.get(getattr(report, "port", 0), "")
        match report:
            case m.SpeechStarted():
                if transcriber := self._transcribers.get(leg):
                    transcriber.speech_started()
                self._report(r.SpeechStarted(leg, report.began))
            case m.SpeechStopped():
                self._report(r.SpeechStopped(leg, report.began, report.ended))
            case m.DigitReceived():
                self._report(r.DigitReceived(leg, report.digit, report.duration_ms, report.method))
            case m.MediaSilent():
                self._report(r.MediaSilent(leg, report.seconds))
            case m.MediaResumed():
                self._report(r.MediaResumed(leg, report.seconds))
            case m.PortFailed():
                self._report(r.LegFailed(leg, "media", report.error))
            case m.PortClosed():
                self.statistics[leg] = report.statistics
                self._resources.routes.remove(report.port)
                self._legs.pop(report.port, None)
            case _:
                pass  # Digits sent and the like are not told to clients.

    # --- playbacks ----------------------------------------------------------------------

    def _carry_playback(self, effect: Effect) -> None:
        match effect:
            case fx.OpenPlayback():
                self._open_playback(effect)
            case (
                fx.SpeakText() | fx.SpeakAudio() | fx.PlayUrl() | fx.CompleteText() | fx.MarkPlayback()
            ):
                if entry := self._tracks.get(effect.track):
                    entry[1].give(effect)
            case fx.EndPlayback():
                self._post_track(effect.track, lambda number: m.EndTrack(number))
            case fx.DropPlayback():
                self._stop_source(effect.track)
                self._post_track(
                    effect.track, lambda number: m.DropTrack(number, effect.fade_ms, effect.graceful)
                )
            case fx.PausePlayback():
                self._post_track(effect.track, lambda number: m.SetTrack(number, paused=effect.paused))
            case fx.SetPlaybackGain():
                self._post_track(effect.track, lambda number: m.SetTrack(number, gain=effect.gain))
            case _:
                self._carry_listening(effect)

    def _open_playback(self, effect: fx.OpenPlayback) -> None:
        number = next(self._resources.ids)
        source = TrackSource(effect.track, number, self._resources, self._report)
        self._tracks[effect.track] = (number, source)
        self._numbers[number] = effect.track
        self._resources.routes.reports(number, self._track_report)
        self._post(m.AddTrack(number, self.mix, effect.gain, effect.duck_to, low_ms=LOW_MS))
        self._source_tasks[effect.track] = self._conversation.spawn(source.run())

    def _post_track(self, track: int, message: Callable[[int], m.Message]) -> None:
        if entry := self._tracks.get(track):
            self._post(message(entry[0]))

    def _stop_source(self, track: int) -> None:
        if task := self._source_tasks.pop(track, None):
            task.cancel()

    def _track_report(self, report: m.Report) -> None:
        number: int = getattr(report, "track", 0)
        track = self._numbers.get(number)
        if track is None:
            return
        source = self._tracks[track][1]
        match report:
            case m.TrackStarted():
                self._report(r.PlaybackStarted(track))
            case m.TrackLow():
                source.low()
            case m.TrackDrained():
                self._report(r.PlaybackDrained(track))
            case m.MarkReached():
                self._report(r.MarkReached(track, report.name, report.cleared))
            case m.TrackEnded():
                self._forget_track(track, number)
                self._report(r.PlaybackEnded(track, report.played_ms))
            case m.TrackDropped():
                self._forget_track(track, number)
                heard = source.heard(report.played_ms)
                self._report(r.PlaybackDropped(track, report.played_ms, report.total_ms, heard))
            case _:
                pass  # The engine tells nothing else of a track.

    def _forget_track(self, track: int, number: int) -> None:
        self._stop_source(track)
        self._tracks.pop(track, None)
        self._numbers.pop(number, None)
        self._resources.routes.remove(number)

    # --- listening ----------------------------------------------------------------------

    def _carry_listening(self, effect: Effect) -> None:
        match effect:
            case fx.DetectSpeech():
                self._detect(effect)
            case fx.DetectTones():
                self._post(m.SetInbandDtmf(self._ports[effect.leg], on=True))
            case fx.Denoise():
                self._post(m.SetDenoise(self._ports[effect.leg], on=True))
            case fx.Transcribe():
                gated = not self._conversation.call.option.vad.off
                transcriber = Transcriber(
                    effect.leg, self._ports[effect.leg], self._resources, self._report, gated
                )
                self._transcribers[effect.leg] = transcriber
                self._conversation.spawn(transcriber.run(effect.option))
            case fx.FinalizeUtterance():
                if transcriber_ := self._transcribers.get(effect.leg):
                    transcriber_.finalize()
            case fx.Record():
                self._conversation.spawn(self._record(effect))
            case fx.PassMedia():
                stream = MediaPass(self._ports[effect.leg], self.mix, self._resources, self._report)
                self._conversation.spawn(stream.run(effect.option))
            case fx.ShareAudio():
                self._share(self._ports[effect.leg])
            case _:
                raise TypeError(f"nobody carries out {type(effect).__name__}")

    def _detect(self, effect: fx.DetectSpeech) -> None:
        option = effect.option
        kind = option.kind or self._resources.settings.speech.vad
        known = self._resources.providers.vads()
        if kind not in known:
            self._report(
                r.SpeechWarned("vad", f"unknown provider {kind!r}; known are {', '.join(sorted(known))}", 404)
            )
            kind = self._resources.settings.speech.vad
        self._post(
            m.SetVad(self._ports[effect.leg], kind, option.threshold, option.start_ms, option.stop_ms)
        )

    def _share(self, port: int) -> None:
        for side, direction in ((0, "outbound"), (1, "inbound")):
            tap = next(self._resources.ids)
            self._shared.append(tap)
            self._resources.routes.frames(
                tap, lambda pcm, side=side: self._conversation.share_audio(side, pcm)  # type: ignore[misc]
            )
            self._post(m.AddTap(tap, port, "outbound" if direction == "outbound" else "inbound", 16000))

    async def _record(self, effect: fx.Record) -> None:
        store = self._resources.store
        option = effect.option
        container = "wav" if option.container == "wav" else "opus"
        try:
            place = await store.new_recording(self._conversation.id, option.name, "wav" if container == "wav" else "ogg")
        except SoftswitchError as error:
            self._resources.metrics.recordings_refused.labels("no_room").inc()
            self._report(r.Refused("recorder", str(error), getattr(error, "code", 507)))
            return
        port = self._ports.get(effect.leg)
        if port is None:
            return
        self._recorder = next(self._resources.ids)
        self._recorded.clear()
        self.recording = place.name
        began = int(time.time() * 1000)
        self._resources.routes.reports(self._recorder, lambda report: self._recording_closed(report, began))
        self._post(
            m.StartRecorder(
                self._recorder,
                port,
                str(place.path),
                option.sample_rate,
                "wav" if container == "wav" else "opus",
                max_bytes=self._resources.settings.recording.quota_mb * 1_000_000,
            )
        )

    def _recording_closed(self, report: m.Report, began: int) -> None:
        if not isinstance(report, m.RecorderClosed):
            return
        self._resources.routes.remove(report.recorder)
        self._resources.store.save_recording(
            Recording(
                name=self.recording,
                call_id=self._conversation.id,
                size=report.size,
                duration_ms=report.duration_ms,
                created_at=began,
                container="wav" if self.recording.endswith(".wav") else "ogg",
            )
        )
        self._recorder = None
        self._recorded.set()
        self._report(r.RecordingClosed(self.recording, report.duration_ms, report.size, report.error))

    # --- the end --------------------------------------------------------------------------

    async def release(self) -> None:
        """Give back everything, within a bounded time; a second time does nothing."""
        if self._recorder is not None:
            self._post(m.StopRecorder(self._recorder))
        for tap in self._shared:
            self._post(m.RemoveTap(tap))
            self._resources.routes.remove(tap)
        self._shared.clear()
        for track, (number, _) in list(self._tracks.items()):
            self._post(m.DropTrack(number, fade_ms=0))
            self._forget_track(track, number)
        for leg in list(self._endpoints):
            self._close_leg(leg, "", {})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RELEASE_S):
                closing, self._closing = self._closing, []
                for endpoint in closing:
                    await endpoint.closed()
                await self._recorded.wait()

    # --- small ones -----------------------------------------------------------------------

    def _report(self, report: r.Report) -> None:
        self._conversation.report(report)

    def _post(self, message: m.Message) -> None:
        self._resources.engine.post(message)
