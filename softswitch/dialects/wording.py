"""The words in which clients read why a command was rejected; used by all dialects of the call model."""

from typing import Final

from softswitch.call.vocabulary.rejection import Reason, Rejection

_WORDS: Final[dict[Reason, str]] = {
    Reason.WORDED: "{text}",
    Reason.NO_PENDING_CALL: "{value}: no pending call",
    Reason.BEING_SET_UP: "the call is already being set up",
    Reason.TOO_MANY_WAIT: "more than {limit} commands wait for the answer",
    Reason.NOT_ANSWERED: "the call is not answered",
    Reason.ALREADY_UP: "the call is already up",
    Reason.CALL_OVER: "the call is over",
    Reason.WRONG_STATE: "{value} is not for this kind of call",
    Reason.UNKNOWN_SUBJECT: "trackId: no track {value!r} in this call",
    Reason.NO_SECOND_PARTY: "hangup: refer: this call has no second party",
    Reason.SECOND_PARTY_PRESENT: "refer: a second party is already in this call",
    Reason.TRANSFER_UNDER_WAY: "refer: a transfer is under way",
    Reason.OUT_OF_RANGE: "{field}: out of range",
    Reason.UNKNOWN_KEYS: "terminators: {value!r} are no keys of a telephone",
    Reason.BRIDGE_WITH_ITSELF: "targetSessionId: a call cannot be bridged with itself",
    Reason.ALREADY_BRIDGED: "bridge: already bridged with {value}",
    Reason.OTHER_BRIDGED: "targetSessionId: {value!r} is bridged already",
    Reason.UNKNOWN_CALL: "targetSessionId: no answered call {value!r}",
    Reason.TOO_MANY_MARKS: "more than {limit} marks wait to be passed",
    Reason.TOO_MANY_TEXTS: "more than {limit} texts wait for playId {value}",
    Reason.TOO_MANY_LAYERS: "layer: at most {limit} sound at once",
    Reason.UNKNOWN_STREAM: "Stream not found",
    Reason.UNKNOWN_TOOL_CALL: "toolCallId: no tool call {value!r} waits for a result",
    Reason.STREAM_EXISTS: "stream: {value!r} is open already",
    Reason.TOO_MANY_TWO_WAY: "Only one bidirectional stream is allowed per call",
    Reason.TOO_MANY_ONE_WAY: "Up to {limit} unidirectional streams are allowed per call",
    Reason.NO_SERVICE: "callee: {value!r} names no ws:// or wss:// service",
    Reason.NO_TELEPHONE: "{value}: this leg is no telephone",
    Reason.RECORDED_ALREADY: "record: the call is recorded already",
    Reason.NOT_RECORDED: "record: the call is not recorded",
    Reason.NOT_PAUSED: "record: the recording is not paused",
    Reason.PAUSED_ALREADY: "record: the recording is paused already",
    Reason.NOT_SUPERVISING: "supervise: this call supervises none; targetSessionId names one",
    Reason.SUPERVISES_ALREADY: "supervise: this call supervises {value} already",
    Reason.SUPERVISOR_TALKS: "supervise: this call has a second party or a bridge",
    Reason.SUPERVISES: "{value}: this call supervises another one",
    Reason.TOO_MANY_SUPERVISORS: "supervise: at most {limit} supervise a call",
    Reason.NO_AGENT: "supervise: on the agent's side of that call is no leg",
    Reason.UNKNOWN_LEG: "the leg {value!r} is not there",
}
_RANGES: Final[dict[str, str]] = {
    "Refer.timeout_s": "refer: options.timeout must be between 1 and 600 seconds",
    "Collect.digits": "minDigits and maxDigits must hold 0 <= minDigits <= maxDigits <= 64",
    "Collect.timeout_ms": "timeoutMs must be between 100 and 600000",
}
"""Ranges by the name of the field."""


def words(rejection: Rejection) -> str:
    """Return the sentence for a client."""
    if rejection.reason is Reason.OUT_OF_RANGE and rejection.field in _RANGES:
        return _RANGES[rejection.field]
    return _WORDS[rejection.reason].format(
        field=rejection.field, value=rejection.value, limit=rejection.limit, text=rejection.text
    )
