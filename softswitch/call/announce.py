"""What only has to be told: from what happened, or was asked for, to the event that says so."""

from softswitch.call import commands, events, reports
from softswitch.call.events import Event
from softswitch.call.outbox import Outbox


def announcement(report: reports.Report, track_id: str, outbox: Outbox) -> Event | None:
    """Return the event that tells a report, or None where there is more to it.

    Args:
        report: What happened.
        track_id: The wire's name of the party it happened to.
        outbox: Knows the time.
    """
    timestamp = outbox.epoch_ms()
    match report:
        case reports.Measured():
            return events.Metrics(
                timestamp=timestamp, key=report.key, duration=report.duration_ms, data=report.data
            )
        case reports.Refused():
            return error(report.sender, report.error, report.code, track_id, outbox, report.request_id)
        case reports.LegWarned():
            return error(report.sender, report.error, report.code, track_id, outbox)
        case reports.RecordingClosed() if report.error:
            return error("recorder", report.error, 507, track_id, outbox)
        case reports.LegRinging():
            return events.Ringing(timestamp=timestamp, track_id=track_id, early_media=report.early_media)
        case reports.LegUpdated():
            return events.Answer(timestamp=timestamp, track_id=track_id, sdp=report.sdp)
        case reports.LegHeld():
            return events.Hold(timestamp=timestamp, track_id=track_id, on_hold=report.held)
        case reports.MediaSilent():
            return events.Media(timestamp=timestamp, track_id=track_id, state="none", seconds=report.seconds)
        case reports.MediaResumed() if report.seconds:
            return events.Media(
                timestamp=timestamp, track_id=track_id, state="resumed", seconds=report.seconds
            )
        case reports.LegRejected():
            return events.Rejected(
                timestamp=timestamp, track_id=track_id, code=report.code, reason=report.reason
            )
        case reports.DigitReceived():
            return events.Dtmf(
                timestamp=timestamp,
                track_id=track_id,
                digit=report.digit,
                duration_ms=report.duration_ms,
                method=report.method,
            )
        case _:
            return _from_afar(report, track_id, outbox)


def _from_afar(report: reports.Report, track_id: str, outbox: Outbox) -> Event | None:
    timestamp = outbox.epoch_ms()
    match report:
        case reports.TextReceived():
            return events.MessageReceived(
                timestamp=timestamp, track_id=track_id, body=report.body, content_type=report.content_type
            )
        case reports.TransferRequested():
            return events.TransferRequest(
                timestamp=timestamp,
                track_id=track_id,
                refer_to=report.refer_to,
                referred_by=report.referred_by,
            )
        case reports.Transcribed():
            return _understood(report, track_id, outbox)
        case _:
            return None


def _understood(report: reports.Transcribed, track_id: str, outbox: Outbox) -> Event:
    kind = events.AsrFinal if report.final else events.AsrDelta
    return kind(
        timestamp=outbox.epoch_ms(),
        track_id=track_id,
        index=report.index,
        start_time=outbox.epoch_ms(report.began),
        end_time=outbox.epoch_ms(report.ended),
        text=report.text,
        confidence=report.confidence,
    )


def told(command: commands.AddHistory | commands.Custom, outbox: Outbox) -> Event:
    """Return the event of something that a client only wants to be told to all."""
    timestamp, session = outbox.epoch_ms(), outbox.session
    if isinstance(command, commands.Custom):
        return events.CustomEvent(
            timestamp=timestamp, track_id=session, sender=command.sender, data=command.data
        )
    return events.HistoryAdded(
        timestamp=timestamp, track_id=session, sender="system", speaker=command.speaker, text=command.text
    )


def error(
    sender: str, text: str, code: int, track_id: str, outbox: Outbox, request_id: str | None = None
) -> events.Error:
    """Return the event of something that went wrong."""
    return events.Error(
        timestamp=outbox.epoch_ms(),
        track_id=track_id,
        sender=sender,
        error=text,
        code=code,
        request_id=request_id,
    )
