"""Events that follow directly from a report or a command, without state."""

from typing import assert_never

from softswitch.call.outbox import Outbox
from softswitch.call.vocabulary import commands, events, reports
from softswitch.call.vocabulary.events import Event
from softswitch.call.vocabulary.rejection import Rejection
from softswitch.call.vocabulary.values import Subject


def announcement(
    report: reports.OfLeg | reports.TransferRequested,
    subject: Subject,
    outbox: Outbox,
    *,
    refer: bool | None = None,
) -> Event | None:
    """Return the event that announces a report, or None where a part of the call decides on events.

    Args:
        report: Report about a leg.
        subject: The party of the leg.
        outbox: Clock of the call.
        refer: True where the party is the second one of a transfer.
    """
    timestamp = outbox.clock()
    match report:
        # What comes often is first, as each class that does not fit costs a look.
        case (
            reports.SpeechStarted() | reports.SpeechStopped() | reports.TurnJudged()
            | reports.LegAnswered() | reports.LegEnded() | reports.LegFailed()
        ):  # fmt: skip
            return None  # The parts of the call decide which events follow.
        case reports.Transcribed():
            return _understood(report, subject, outbox)
        case reports.LegWarned():
            return error(report.sender, report.error, report.code, subject, outbox)
        case reports.LegRinging():
            return events.Ringing(
                timestamp=timestamp, subject=subject, early_media=report.early_media, refer=refer
            )
        case reports.LegUpdated():
            return events.Answer(timestamp=timestamp, subject=subject, sdp=report.sdp)
        case reports.LegTrickled():
            return events.CandidatesFound(timestamp=timestamp, subject=subject, candidates=report.candidates)
        case reports.LegHeld():
            return events.Hold(timestamp=timestamp, subject=subject, on_hold=report.held)
        case reports.MediaSilent():
            return events.Media(timestamp=timestamp, subject=subject, state="none", seconds=report.seconds)
        case reports.MediaResumed() if not report.seconds:
            return events.MediaReady(timestamp=timestamp, subject=subject)
        case reports.MediaResumed():
            return events.Media(timestamp=timestamp, subject=subject, state="resumed", seconds=report.seconds)
        case reports.LegRejected():
            return refusal(
                report.code, report.reason, subject, outbox, refer=refer, redirect_to=report.redirect_to
            )
        case reports.DigitReceived():
            return events.Dtmf(
                timestamp=timestamp,
                subject=subject,
                digit=report.digit,
                duration_ms=report.duration_ms,
                method=report.method,
            )
        case reports.TextReceived():
            return events.MessageReceived(
                timestamp=timestamp, subject=subject, body=report.body, content_type=report.content_type
            )
        case reports.TransferRequested():
            return events.TransferRequest(
                timestamp=timestamp,
                subject=subject,
                refer_to=report.refer_to,
                referred_by=report.referred_by,
            )
        case reports.AnsweredBy():
            return events.AnsweredBy(
                timestamp=timestamp,
                subject=subject,
                result=report.result,
                reason=report.reason,
                at=outbox.clock(report.at),
                speech_start=None if report.speech_began is None else outbox.clock(report.speech_began),
                duration=round(report.spoken_s * 1000),
                text=report.text or None,
            )
        case reports.ToneHeard():
            return events.ToneHeard(
                timestamp=timestamp,
                subject=subject,
                tone=report.tone,
                frequencies=report.frequencies,
                at=outbox.clock(report.at),
            )
        case _:
            assert_never(report)


def refusal(
    code: int,
    reason: str,
    subject: Subject,
    outbox: Outbox,
    *,
    refer: bool | None = None,
    redirect_to: tuple[str, ...] = (),
) -> events.Rejected:
    """Return the event that tells of a refused party.

    Args:
        code: SIP status code.
        reason: Reason for the client.
        subject: The party.
        outbox: Clock of the call.
        refer: True where the party is the second one of a transfer.
        redirect_to: URIs that the party redirects to.
    """
    return events.Rejected(
        timestamp=outbox.clock(),
        subject=subject,
        code=code,
        reason=reason,
        refer=refer,
        redirect_to=redirect_to or None,
    )


def call_announcement(
    report: reports.Measured | reports.Refused | reports.RecordingClosed, subject: Subject, outbox: Outbox
) -> Event | None:
    """Return the event that tells a report about the whole call, or None where it is no news."""
    timestamp = outbox.clock()
    match report:
        case reports.Measured():
            return events.Metrics(
                timestamp=timestamp, key=report.key, duration=report.duration_ms, data=report.data
            )
        case reports.Refused():
            return error(
                report.sender,
                report.rejection or report.error,
                report.code,
                subject,
                outbox,
                report.request_id,
            )
        case reports.RecordingClosed() if report.error:
            return error("recorder", report.error, 507, subject, outbox)
        case reports.RecordingClosed():
            return None
        case _:
            assert_never(report)


def _understood(report: reports.Transcribed, subject: Subject, outbox: Outbox) -> Event:
    if report.final:
        return events.AsrFinal(
            timestamp=outbox.clock(),
            subject=subject,
            index=report.index,
            start_time=outbox.clock(report.began),
            end_time=outbox.clock(report.ended),
            text=report.text,
            confidence=report.confidence,
            rejected=True if report.rejected else None,
            match=report.match or None,
        )
    return events.AsrDelta(
        timestamp=outbox.clock(),
        subject=subject,
        index=report.index,
        start_time=outbox.clock(report.began),
        end_time=outbox.clock(report.ended),
        text=report.text,
        confidence=report.confidence,
    )


def passed_on(command: commands.AddHistory | commands.Custom, outbox: Outbox) -> Event:
    """Return the event that passes a client's own words to all subscribers."""
    timestamp = outbox.clock()
    if isinstance(command, commands.Custom):
        return events.CustomEvent(
            timestamp=timestamp, subject=outbox.party, sender=command.sender, data=command.data
        )
    return events.HistoryAdded(
        timestamp=timestamp, subject=outbox.party, sender="system", speaker=command.speaker, text=command.text
    )


def error(
    sender: str,
    error: str | Rejection,
    code: int,
    subject: Subject,
    outbox: Outbox,
    request_id: str | None = None,
) -> events.Error:
    """Return the event of a failure, which a part below words itself, or of a rejection."""
    rejection = error if isinstance(error, Rejection) else None
    return events.Error(
        timestamp=outbox.clock(),
        subject=subject,
        sender=sender,
        error=error if isinstance(error, str) else "",
        code=code,
        request_id=request_id,
        rejection=rejection,
    )
