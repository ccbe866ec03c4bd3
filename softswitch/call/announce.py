"""Reports that only have to be told: from what happened to the event that says so."""

from softswitch.call import events, reports
from softswitch.call.events import Event


def announcement(report: reports.Report, session: str, timestamp: int) -> Event | None:
    """Return the event that tells a report, or None where there is more to it.

    Args:
        report: What happened.
        session: Id of the call.
        timestamp: Epoch milliseconds.
    """
    match report:
        case reports.Measured():
            return events.Metrics(
                timestamp=timestamp, key=report.key, duration=report.duration_ms, data=report.data
            )
        case reports.Refused():
            return error(report.sender, report.error, report.code, session, timestamp, report.request_id)
        case reports.LegWarned():
            return error(report.sender, report.error, report.code, session, timestamp)
        case reports.RecordingClosed() if report.error:
            return error("recorder", report.error, 507, session, timestamp)
        case reports.LegRinging():
            return events.Ringing(timestamp=timestamp, track_id=session, early_media=report.early_media)
        case reports.LegUpdated():
            return events.Answer(timestamp=timestamp, track_id=session, sdp=report.sdp)
        case reports.LegHeld():
            return events.Hold(timestamp=timestamp, track_id=session, on_hold=report.held)
        case reports.MediaSilent():
            return events.Media(timestamp=timestamp, track_id=session, state="none", seconds=report.seconds)
        case reports.MediaResumed() if report.seconds:
            return events.Media(
                timestamp=timestamp, track_id=session, state="resumed", seconds=report.seconds
            )
        case reports.LegRejected():
            return events.Rejected(
                timestamp=timestamp, track_id=session, code=report.code, reason=report.reason
            )
        case reports.DigitReceived():
            return events.Dtmf(
                timestamp=timestamp,
                track_id=session,
                digit=report.digit,
                duration_ms=report.duration_ms,
                method=report.method,
            )
        case _:
            return None


def error(
    sender: str, text: str, code: int, session: str, timestamp: int, request_id: str | None = None
) -> events.Error:
    """Return the event of something that went wrong."""
    return events.Error(
        timestamp=timestamp, track_id=session, sender=sender, error=text, code=code, request_id=request_id
    )
