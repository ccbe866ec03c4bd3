"""Session descriptions without I/O: RFC 8866 to dataclasses and back, RFC 3264 for one audio stream."""

from softswitch.sdp.answer import Local, answer_text
from softswitch.sdp.description import Attribute, Connection, Description, Media, Origin, SdpError, parse
from softswitch.sdp.negotiate import (
    AUDIO_LEVEL,
    CODECS,
    PLAIN_PROFILES,
    SECURE_PROFILES,
    Agreement,
    Direction,
    NotAcceptableError,
    PayloadType,
    media_address,
    negotiate,
    payload_types,
)
from softswitch.sdp.transport import (
    CandidateLine,
    Fingerprint,
    IceCredentials,
    Setup,
    TransportOffer,
    candidate_line,
    transport_offer,
)

__all__ = [
    "AUDIO_LEVEL",
    "CODECS",
    "PLAIN_PROFILES",
    "SECURE_PROFILES",
    "Agreement",
    "Attribute",
    "CandidateLine",
    "Connection",
    "Description",
    "Direction",
    "Fingerprint",
    "IceCredentials",
    "Local",
    "Media",
    "NotAcceptableError",
    "Origin",
    "PayloadType",
    "SdpError",
    "Setup",
    "TransportOffer",
    "answer_text",
    "candidate_line",
    "media_address",
    "negotiate",
    "parse",
    "payload_types",
    "transport_offer",
]
