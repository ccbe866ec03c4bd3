"""Carries out the messages posted to the engine, and closes ports."""

import logging
from collections.abc import Callable
from typing import Any

from softswitch.media import messages as m
from softswitch.media.engine.parts import Parts
from softswitch.media.feeds.feed_port import FeedPort
from softswitch.media.port import Port
from softswitch.media.rtp.rtp_port import RtpPort
from softswitch.media.rtp.transports import discard

logger = logging.getLogger(__name__)


class Dispatcher:
    """Table of one handler for each class of message."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._reports: list[m.Report] = []
        self._leaving: list[RtpPort] = []
        playback = parts.playback
        self._handlers: dict[type[m.Message], Callable[[Any, float], None]] = {
            m.AddRtpPort: self._add_rtp_port,
            m.UpdateRtp: self._update_rtp,
            m.ConnectPlain: self._connect_plain,
            m.ConnectSecure: self._connect_secure,
            m.AddFeedPort: self._add_feed_port,
            m.RemovePort: self._remove_port,
            m.JoinMix: self._join_mix,
            m.SetMuted: self._set_muted,
            m.SetHeld: self._set_held,
            m.SetDirection: self._set_direction,
            m.SetVad: self._set_vad,
            m.SetDenoise: self._set_denoise,
            m.SetEchoControl: self._set_echo_control,
            m.SetGainControl: self._set_gain_control,
            m.SetInbandDtmf: self._set_inband_dtmf,
            m.SendDigits: self._send_digits,
            m.AddTrack: playback.add,
            m.FeedTrack: playback.feed,
            m.PlaceMark: playback.mark,
            m.EndTrack: playback.end,
            m.DropTrack: playback.drop,
            m.ClearTrack: playback.clear,
            m.SetTrack: playback.set,
            m.ReadStream: playback.read,
            m.AddTap: self._add_tap,
            m.RemoveTap: self._remove_tap,
            m.StartRecorder: self._start_recorder,
            m.PauseRecorder: self._pause_recorder,
            m.StopRecorder: self._stop_recorder,
        }

    def dispatch(self, message: m.Message, now: float) -> None:
        """Carry one message out; a message that cannot be carried out is counted, logged and changes nothing.

        Raises:
            KeyError: the class of the message has no handler.
        """
        handler = self._handlers[type(message)]
        try:
            handler(message, now)
        except KeyError:
            # The port, tap or recorder of the message ended while the message was queued.
            self._parts.counters["unknown_ids"] += 1
            if isinstance(message, m.ConnectPlain):
                discard(message.rtcp_fd)
            if isinstance(message, m.ConnectPlain | m.ConnectSecure):
                discard(message.fd)
        except Exception as error:  # noqa: BLE001 - the next message may be another call's
            self._refuse(message, error, now)

    def take_reports(self) -> list[m.Report]:
        """Return the reports of messages and closed ports since the last call."""
        reports, self._reports = self._reports, []
        return reports

    def close_leaving(self, now: float) -> None:
        """Close the RTP ports whose RTCP BYE was sent in this tick."""
        for port in self._leaving:
            self.close(port, now)
        self._leaving.clear()

    def fail(self, port: Port, error: Exception, now: float) -> None:
        """Close a port after an error of its own, and report the error."""
        self._leaving = [leaving for leaving in self._leaving if leaving is not port]
        self._parts.counters["port_failures"] += 1
        logger.error("port failed", extra={"port": port.id}, exc_info=error)
        self._reports.append(m.PortFailed(port.id, now, f"{type(error).__name__}: {error}"))
        self.close(port, now)

    def close(self, port: Port, now: float) -> None:
        """Close a port with its taps, recordings and detectors, and report its statistics."""
        parts = self._parts
        self._reports += parts.activity.switch_off(port, now)
        parts.tone_listener.switch(port, on=False)
        parts.tone_sender.cancel(port.id)
        parts.conditioning.forget(port.id)
        parts.taps.remove_port(port.id)
        parts.recorders.stop_port(port.id)
        match port:
            case RtpPort():
                statistics = self._close_rtp(port)
            case FeedPort():
                statistics = self._close_feed(port)
            case _:
                raise TypeError(f"port {port.id} is neither an RTP port nor a feed port")
        parts.registry.remove(port)
        self._reports.append(m.PortClosed(port.id, now, statistics))

    def _refuse(self, message: m.Message, error: Exception, now: float) -> None:
        self._parts.counters["refused_messages"] += 1
        logger.warning(
            "message to the media engine refused",
            extra={"engine_message": type(message).__name__, "error": f"{type(error).__name__}: {error}"},
        )
        if isinstance(message, m.StartRecorder):
            self._reports.append(m.RecorderClosed(message.recorder, now, message.path, 0, 0, str(error)))
        elif isinstance(message, m.ConnectPlain | m.ConnectSecure):
            # A port without a transport would stay silent for ever; its call must learn that it failed.
            self.fail(self._parts.registry.get(message.port), error, now)
        elif isinstance(message, m.AddRtpPort) and message.port not in self._parts.registry:
            self._reports.append(m.PortFailed(message.port, now, f"{type(error).__name__}: {error}"))

    def _add_rtp_port(self, message: m.AddRtpPort, now: float) -> None:
        parts = self._parts
        port = parts.registry.add_rtp(message)
        try:
            parts.plane.open(port.slot, port.id, message.rtp, now)
        except ValueError:
            parts.registry.remove(port)
            raise
        parts.transports.open(port.id, port.slot, parts.ingress.inboxes[port.id])
        parts.counters["ports_opened"] += 1

    def _update_rtp(self, message: m.UpdateRtp, now: float) -> None:
        self._parts.plane.update(self._rtp(message.port).slot, message.rtp, now)
        self._parts.registry.changed()

    def _connect_plain(self, message: m.ConnectPlain, _now: float) -> None:
        port = self._rtp(message.port)
        self._parts.transports.connect_plain(port.slot, message)
        self._connected(port)

    def _connect_secure(self, message: m.ConnectSecure, _now: float) -> None:
        port = self._rtp(message.port)
        self._parts.transports.connect_secure(port.slot, message)
        self._connected(port)

    def _remove_port(self, message: m.RemovePort, now: float) -> None:
        port = self._parts.registry.get(message.port)
        if not isinstance(port, RtpPort):
            self.close(port, now)
        elif port not in self._leaving:
            # The last packet of the port is an RTCP BYE (RFC 3550 section 6.6), which this tick still sends.
            port.speaks = port.listens = False
            self._parts.registry.changed()
            self._parts.plane.goodbye(port.slot)
            self._leaving.append(port)

    def _connected(self, port: RtpPort) -> None:
        port.speaks = port.listens = True
        self._parts.registry.changed()

    def _add_feed_port(self, message: m.AddFeedPort, _now: float) -> None:
        port = self._parts.registry.add_feed(message)
        self._parts.counters["ports_opened"] += 1
        self._parts.feeds.open(port.format, port.slot)

    def _join_mix(self, message: m.JoinMix, _now: float) -> None:
        port = self._parts.registry.get(message.port)
        port.mix = message.mix
        port.audience = None if message.audience is None else frozenset(message.audience)
        self._parts.registry.changed()

    def _set_muted(self, message: m.SetMuted, _now: float) -> None:
        self._parts.registry.get(message.port).muted = message.muted
        self._parts.registry.changed()

    def _set_held(self, message: m.SetHeld, _now: float) -> None:
        port = self._parts.registry.get(message.port)
        if isinstance(port, RtpPort):
            port.held = message.held
            self._update_watch(port)

    def _set_direction(self, message: m.SetDirection, _now: float) -> None:
        port = self._rtp(message.port)
        port.sends, port.receives = message.sends, message.receives
        self._parts.plane.set_sending(port.slot, message.sends)
        self._update_watch(port)

    def _update_watch(self, port: RtpPort) -> None:
        """Watch for missing media only while the remote party is expected to send."""
        self._parts.plane.set_held(port.slot, port.held or not port.receives)
        self._parts.registry.changed()

    def _set_vad(self, message: m.SetVad, now: float) -> None:
        port = self._parts.registry.get(message.port)
        self._reports += self._parts.activity.switch_off(port, now)
        if message.kind:
            self._parts.activity.switch_on(port, message)
        self._parts.registry.changed()

    def _set_inband_dtmf(self, message: m.SetInbandDtmf, _now: float) -> None:
        self._parts.tone_listener.switch(self._parts.registry.get(message.port), message.on)
        self._parts.registry.changed()

    def _set_denoise(self, message: m.SetDenoise, _now: float) -> None:
        self._parts.conditioning.denoise(self._parts.registry.get(message.port).id, message.on)
        self._parts.registry.uses += 1

    def _set_echo_control(self, message: m.SetEchoControl, _now: float) -> None:
        self._parts.conditioning.cancel_echo(self._parts.registry.get(message.port).id, message.on)
        self._parts.registry.uses += 1

    def _set_gain_control(self, message: m.SetGainControl, _now: float) -> None:
        self._parts.conditioning.control_gain(self._parts.registry.get(message.port).id, message.on)
        self._parts.registry.uses += 1

    def _send_digits(self, message: m.SendDigits, _now: float) -> None:
        port = self._parts.registry.get(message.port)
        self._parts.registry.uses += 1
        if isinstance(port, RtpPort) and self._parts.plane.send_digits(
            port.slot, message.digits, message.duration_ms, message.gap_ms
        ):
            return
        self._parts.tone_sender.send(port.id, message)

    def _add_tap(self, message: m.AddTap, _now: float) -> None:
        self._parts.registry.get(message.port)
        self._parts.taps.add(message)
        self._parts.registry.uses += 1

    def _remove_tap(self, message: m.RemoveTap, _now: float) -> None:
        self._parts.taps.remove(message.tap)
        self._parts.registry.uses += 1

    def _start_recorder(self, message: m.StartRecorder, _now: float) -> None:
        if message.port not in self._parts.registry:
            raise ValueError(f"port: there is no port {message.port} to record")
        self._parts.recorders.start(message)
        self._parts.registry.uses += 1

    def _pause_recorder(self, message: m.PauseRecorder, _now: float) -> None:
        self._parts.recorders.pause(message.recorder, paused=message.paused)
        self._parts.registry.uses += 1

    def _stop_recorder(self, message: m.StopRecorder, _now: float) -> None:
        self._parts.recorders.stop(message.recorder)
        self._parts.registry.uses += 1

    def _close_rtp(self, port: RtpPort) -> dict[str, float]:
        refused = self._parts.transports.close(port.slot)
        statistics = dict(self._parts.plane.close(port.slot))
        for name, count in refused.items():
            statistics[name] = statistics.get(name, 0.0) + count
        return statistics

    def _close_feed(self, port: FeedPort) -> dict[str, float]:
        self._parts.feeds.close(port.format, port.slot)
        fifo, frame = port.fifo, port.format.frame_bytes
        return {
            "received_ms": fifo.received * 20 / frame,
            "sent_ms": port.sent * 20.0,
            "octets_received": float(fifo.received),
            "octets_sent": float(port.sent * frame),
            "dropped_ms": fifo.dropped * 20 / frame,
            "underruns": float(fifo.underruns),
            "mended_ms": float(fifo.mended_ms),
            "caught_up_ms": port.caught_up_ms,
        }

    def _rtp(self, port: int) -> RtpPort:
        found = self._parts.registry.get(port)
        if not isinstance(found, RtpPort):
            raise TypeError(f"port: {port} is not an RTP port")
        return found
