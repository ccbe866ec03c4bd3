"""What each message to the engine does."""

import logging
from collections.abc import Callable
from typing import Any

from softswitch.media import messages as m
from softswitch.media.parts import Parts
from softswitch.media.ports import FeedPort, Port, RtpPort
from softswitch.media.transports import discard

logger = logging.getLogger(__name__)


class Orders:
    """Carries messages out, and closes ports."""

    def __init__(self, parts: Parts) -> None:
        """Work on `parts`."""
        self._parts = parts
        self._reports: list[m.Report] = []
        self._leaving: list[RtpPort] = []
        playback = parts.playback
        self._orders: dict[type[m.Message], Callable[[Any, float], None]] = {
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
            m.SetInbandDtmf: self._set_inband_dtmf,
            m.SendDigits: self._send_digits,
            m.AddTrack: playback.add,
            m.FeedTrack: playback.feed,
            m.PlaceMark: playback.mark,
            m.EndTrack: playback.end,
            m.DropTrack: playback.drop,
            m.ClearTrack: playback.clear,
            m.SetTrack: playback.set,
            m.AddTap: self._add_tap,
            m.RemoveTap: self._remove_tap,
            m.StartRecorder: self._start_recorder,
            m.StopRecorder: self._stop_recorder,
        }

    def obey(self, message: m.Message, now: float) -> None:
        """Carry one message out. One that cannot be is counted and logged, and changes nothing."""
        try:
            self._orders[type(message)](message, now)
        except KeyError:
            # What it speaks of ended while the message was on its way.
            self._parts.counters["unknown_ids"] += 1
            if isinstance(message, m.ConnectPlain):
                discard(message.rtcp_fd)
            if isinstance(message, m.ConnectPlain | m.ConnectSecure):
                discard(message.fd)
        except Exception as error:  # noqa: BLE001 - the next message may be another call's
            self._refuse(message, error, now)

    def take_reports(self) -> list[m.Report]:
        """Return what came of messages and closings since the last call."""
        reports, self._reports = self._reports, []
        return reports

    def close_leaving(self, now: float) -> None:
        """Close the RTP ports that have said goodbye in this tick."""
        for port in self._leaving:
            self.close(port, now)
        self._leaving.clear()

    def fail(self, port: Port, error: Exception, now: float) -> None:
        """Close a port that failed by itself."""
        self._leaving = [leaving for leaving in self._leaving if leaving is not port]
        self._parts.counters["port_failures"] += 1
        logger.error("port failed", extra={"port": port.id}, exc_info=error)
        self._reports.append(m.PortFailed(port.id, now, f"{type(error).__name__}: {error}"))
        self.close(port, now)

    def close(self, port: Port, now: float) -> None:
        """Close a port with everything that hangs on it, and report its statistics."""
        parts = self._parts
        self._reports += parts.activity.switch_off(port, now)
        parts.tone_listener.switch(port, on=False)
        parts.tone_sender.forget(port.id)
        parts.denoising.switch(port.id, on=False)
        parts.taps.remove_port(port.id)
        parts.recorders.stop_port(port.id)
        match port:
            case RtpPort():
                statistics = self._close_rtp(port)
            case FeedPort():
                statistics = self._close_feed(port)
        parts.registry.remove(port)
        self._reports.append(m.PortClosed(port.id, now, statistics))

    def _refuse(self, message: m.Message, error: Exception, now: float) -> None:
        self._parts.counters["refused_messages"] += 1
        logger.warning(
            "message refused",
            extra={"order": type(message).__name__, "error": f"{type(error).__name__}: {error}"},
        )
        if isinstance(message, m.StartRecorder):
            self._reports.append(m.RecorderClosed(message.recorder, now, message.path, 0, 0, str(error)))
        elif isinstance(message, m.ConnectPlain | m.ConnectSecure):
            # Without its media a port is no use to anybody: say so instead of staying silent for ever.
            self.fail(self._parts.registry.get(message.port), error, now)
        elif isinstance(message, m.AddRtpPort) and message.port not in self._parts.registry:
            self._reports.append(m.PortFailed(message.port, now, f"{type(error).__name__}: {error}"))

    def _add_rtp_port(self, order: m.AddRtpPort, now: float) -> None:
        parts = self._parts
        port = parts.registry.add_rtp(order)
        try:
            parts.plane.open(port.slot, port.id, order.rtp, now)
        except ValueError:
            parts.registry.remove(port)
            raise
        parts.transports.open(port.id, port.slot, parts.doors.inboxes[port.id])
        parts.counters["ports_opened"] += 1

    def _update_rtp(self, order: m.UpdateRtp, now: float) -> None:
        self._parts.plane.update(self._rtp(order.port).slot, order.rtp, now)
        self._parts.registry.changed()

    def _connect_plain(self, order: m.ConnectPlain, _now: float) -> None:
        port = self._rtp(order.port)
        self._parts.transports.connect_plain(port.slot, order)
        self._connected(port)

    def _connect_secure(self, order: m.ConnectSecure, _now: float) -> None:
        port = self._rtp(order.port)
        self._parts.transports.connect_secure(port.slot, order)
        self._connected(port)

    def _remove_port(self, order: m.RemovePort, now: float) -> None:
        port = self._parts.registry.get(order.port)
        if not isinstance(port, RtpPort):
            self.close(port, now)
        elif port not in self._leaving:
            # Its last packet is an RTCP BYE, which this tick still sends.
            port.speaks = port.listens = False
            self._parts.registry.changed()
            self._parts.plane.goodbye(port.slot)
            self._leaving.append(port)

    def _connected(self, port: RtpPort) -> None:
        port.speaks = port.listens = True
        self._parts.registry.changed()

    def _add_feed_port(self, order: m.AddFeedPort, _now: float) -> None:
        port = self._parts.registry.add_feed(order)
        self._parts.counters["ports_opened"] += 1
        self._parts.feeds.open(port.format, port.slot)

    def _join_mix(self, order: m.JoinMix, _now: float) -> None:
        self._parts.registry.get(order.port).mix = order.mix
        self._parts.registry.changed()

    def _set_muted(self, order: m.SetMuted, _now: float) -> None:
        self._parts.registry.get(order.port).muted = order.muted
        self._parts.registry.changed()

    def _set_held(self, order: m.SetHeld, _now: float) -> None:
        port = self._parts.registry.get(order.port)
        if isinstance(port, RtpPort):
            port.held = order.held
            self._expect(port)

    def _set_direction(self, order: m.SetDirection, _now: float) -> None:
        port = self._rtp(order.port)
        port.sends, port.receives = order.sends, order.receives
        self._parts.plane.set_sending(port.slot, order.sends)
        self._expect(port)

    def _expect(self, port: RtpPort) -> None:
        """Say whether the port's far end is expected to send."""
        self._parts.plane.set_held(port.slot, port.held or not port.receives)
        self._parts.registry.changed()

    def _set_vad(self, order: m.SetVad, now: float) -> None:
        port = self._parts.registry.get(order.port)
        self._reports += self._parts.activity.switch_off(port, now)
        if order.kind:
            self._parts.activity.switch_on(port, order)
        self._parts.registry.changed()

    def _set_inband_dtmf(self, order: m.SetInbandDtmf, _now: float) -> None:
        self._parts.tone_listener.switch(self._parts.registry.get(order.port), order.on)
        self._parts.registry.changed()

    def _set_denoise(self, order: m.SetDenoise, _now: float) -> None:
        self._parts.denoising.switch(self._parts.registry.get(order.port).id, order.on)
        self._parts.registry.uses += 1

    def _send_digits(self, order: m.SendDigits, _now: float) -> None:
        port = self._parts.registry.get(order.port)
        self._parts.registry.uses += 1
        if isinstance(port, RtpPort) and self._parts.plane.send_digits(
            port.slot, order.digits, order.duration_ms, order.gap_ms
        ):
            return
        self._parts.tone_sender.send(port.id, order)

    def _add_tap(self, order: m.AddTap, _now: float) -> None:
        self._parts.registry.get(order.port)
        self._parts.taps.add(order)
        self._parts.registry.uses += 1

    def _remove_tap(self, order: m.RemoveTap, _now: float) -> None:
        self._parts.taps.remove(order.tap)
        self._parts.registry.uses += 1

    def _start_recorder(self, order: m.StartRecorder, _now: float) -> None:
        if order.port not in self._parts.registry:
            raise ValueError(f"port: there is no port {order.port} to record")
        self._parts.recorders.start(order)
        self._parts.registry.uses += 1

    def _stop_recorder(self, order: m.StopRecorder, _now: float) -> None:
        self._parts.recorders.stop(order.recorder)
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
            "sent_ms": port.sent_frames * 20.0,
            "octets_received": float(fifo.received),
            "octets_sent": float(port.sent_frames * frame),
            "dropped_ms": fifo.dropped * 20 / frame,
            "underruns": float(fifo.underruns),
            "mended_ms": float(fifo.mended_ms),
        }

    def _rtp(self, port: int) -> RtpPort:
        found = self._parts.registry.get(port)
        if not isinstance(found, RtpPort):
            raise TypeError(f"port: {port} carries no RTP")
        return found
