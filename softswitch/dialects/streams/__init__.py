"""The stream dialects, by the name that `protocol` beside the URL of a stream has.

The composition root hands the registry to the client of streams. The web asks :func:`stream_faults` what is
wrong with a request before the stream is started. A dialect is one line here.
"""

from softswitch.call.interfaces import StreamRequest
from softswitch.call.vocabulary.commands import StreamOption
from softswitch.dialects.bounds import too_deep
from softswitch.dialects.streams.agent_session import AgentStreams
from softswitch.dialects.streams.audiohook import AudioHookStreams
from softswitch.dialects.streams.credentials import Credentials
from softswitch.dialects.streams.deepgram_agent import DeepgramAgentStreams
from softswitch.dialects.streams.elevenlabs_agent import ElevenLabsAgentStreams
from softswitch.dialects.streams.exotel import ExotelStreams
from softswitch.dialects.streams.gemini_live import GeminiLiveStreams
from softswitch.dialects.streams.jambonz import JambonzStreams
from softswitch.dialects.streams.json_session import encode
from softswitch.dialects.streams.openai_realtime import OpenAiRealtimeStreams
from softswitch.dialects.streams.plivo import PlivoStreams
from softswitch.dialects.streams.raw import RawStreams
from softswitch.dialects.streams.telnyx import TelnyxStreams
from softswitch.dialects.streams.twilio import TwilioStreams
from softswitch.dialects.streams.ultravox import UltravoxStreams
from softswitch.dialects.streams.vonage import VonageStreams
from softswitch.dialects.wavix.stream import WavixStreams
from softswitch.errors import MalformedError, SettingsError
from softswitch.legs.stream.dialect import StreamDialects
from softswitch.settings import Settings


def stream_dialects(settings: Settings) -> StreamDialects:
    """Return all stream dialects, each with its settings.

    Raises:
        SettingsError: A `[[stream]]` or a `[[route]]` names a protocol that does not exist.
    """
    credentials = Credentials(settings.stream)
    dialects: StreamDialects = {
        "wavix": WavixStreams(settings.wavix.stream_secret, ticks=settings.wavix.timestamp == "rtp"),
        "twilio": TwilioStreams(credentials),
        "telnyx": TelnyxStreams(credentials),
        "vonage": VonageStreams(credentials),
        "plivo": PlivoStreams(credentials),
        "exotel": ExotelStreams(credentials),
        "jambonz": JambonzStreams(credentials),
        "audiohook": AudioHookStreams(credentials),
        "raw": RawStreams(credentials),
        "openai-realtime": OpenAiRealtimeStreams(credentials),
        "gemini-live": GeminiLiveStreams(credentials),
        "elevenlabs-agent": ElevenLabsAgentStreams(credentials),
        "deepgram-agent": DeepgramAgentStreams(credentials),
        "ultravox": UltravoxStreams(credentials),
    }
    named = {
        "stream": [row.protocol for row in settings.stream],
        "route": [row.protocol for row in settings.route],
    }
    for table, protocols in named.items():
        for number, protocol in enumerate(protocols, 1):
            if protocol not in dialects:
                known = ", ".join(sorted(dialects))
                raise SettingsError(
                    f"[[{table}]] {number} protocol: {protocol!r} is unknown, known are {known}",
                    section=table,
                    key="protocol",
                )
    return dialects


MAX_DEPTH = 24
"""Levels of the settings of a session: JSON schemas of tools are among them."""
MAX_SESSION = 65_536
"""Bytes of the settings of a session, as JSON."""
_DIALECTS = stream_dialects(Settings())
"""Without credentials: what a dialect can carry does not depend on them."""


def stream_faults(option: StreamOption) -> dict[str, str]:
    """Return what is wrong with the protocol and the format of a stream, by the name of the field.

    Args:
        option: What was requested; its URL is not dialled.
    """
    dialect = _DIALECTS.get(option.protocol)
    if dialect is None:
        known = ", ".join(sorted(_DIALECTS))
        return {"protocol": f"{option.protocol[:64]!r} is unknown; known are: {known}"}
    if option.session and not isinstance(dialect, AgentStreams):
        return {"stream_session": f"{option.protocol!r} has no settings of a session"}
    if too_deep(option.session, MAX_DEPTH):
        return {"stream_session": "nests too deep"}
    if len(encode(option.session)) > MAX_SESSION:
        return {"stream_session": f"is longer than {MAX_SESSION} bytes"}
    request = StreamRequest(
        call="",
        stream="",
        url=option.url,
        two_way=option.two_way,
        channel=option.channel,
        protocol=option.protocol,
        encoding=option.encoding,
        sample_rate=option.sample_rate,
        session=option.session,
    )
    try:
        dialect.open(request)
    except MalformedError as error:
        return {error.field or "protocol": str(error).partition(": ")[2] or str(error)}
    return {}
