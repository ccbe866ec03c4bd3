"""Choice of the audio format of a stream, and refusal of what a dialect cannot carry; for the dialects."""

from collections.abc import Sequence

from softswitch.call.interfaces import StreamRequest
from softswitch.errors import MalformedError
from softswitch.legs.stream.dialect import AudioFormat

PCMU = AudioFormat("pcmu", 8000)
PCMA = AudioFormat("pcma", 8000)


def choose_format(request: StreamRequest, formats: Sequence[AudioFormat]) -> AudioFormat:
    """Return the first format that fits the encoding and the sample rate of a request.

    Args:
        request: What was requested; an empty encoding and the rate 0 fit any format.
        formats: What the dialect has, its default first.

    Raises:
        MalformedError: None fits; the error names the field, and what is known.
    """
    fitting = [form for form in formats if request.encoding in ("", form.encoding)]
    if not fitting:
        known = ", ".join(dict.fromkeys(form.encoding for form in formats))
        raise MalformedError(
            f"stream_encoding: {request.encoding[:64]!r} is not an encoding of "
            f"{request.protocol!r}; known are: {known}",
            field="stream_encoding",
        )
    for form in fitting:
        if request.sample_rate in (0, form.sample_rate):
            return form
    rates = ", ".join(dict.fromkeys(str(form.sample_rate) for form in fitting))
    raise MalformedError(
        f"stream_sample_rate: {request.sample_rate} is not a rate of {request.protocol!r}; "
        f"known are: {rates}",
        field="stream_sample_rate",
    )


def refuse_two_tracks(request: StreamRequest) -> None:
    """Refuse a stream of both tracks where media messages do not name their track.

    Raises:
        MalformedError: Both tracks were requested; the error names the field.
    """
    if len(request.tracks) > 1:
        raise MalformedError(
            f"stream_channel: {request.protocol!r} carries one track; use inbound or outbound",
            field="stream_channel",
        )
