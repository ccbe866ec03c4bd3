"""What a call and the service of a stream tell each other besides the audio."""

import msgspec


class CallerText(msgspec.Struct, frozen=True):
    """The service has understood what the party said."""

    text: str
    began_ms: int | None = None
    """Begin of the speech, epoch milliseconds; None: not known."""
    ended_ms: int | None = None
    """End of the speech, epoch milliseconds; None: not known."""


class ServiceText(msgspec.Struct, frozen=True):
    """Words of the service that the party has heard, to their end or until they were cut off."""

    text: str
    """What was heard; where the audio was cut off, the words before the cut."""
    heard_ms: int
    """Audio of these words that was heard, milliseconds."""
    total_ms: int
    """Audio that the service had sent for them, milliseconds."""
    interrupted: bool = False


class ToolCall(msgspec.Struct, frozen=True):
    """The service wants a function of the application to be called."""

    id: str
    name: str
    arguments: dict[str, object] = {}


class ToolCancelled(msgspec.Struct, frozen=True):
    """The service has no use for the result of a tool call any longer."""

    id: str


FromService = CallerText | ServiceText | ToolCall | ToolCancelled
"""What a service tells the call."""


class KeyPressed(msgspec.Struct, frozen=True):
    """The party pressed a key."""

    digit: str


class PartySpeech(msgspec.Struct, frozen=True):
    """The switch has detected that the party began to speak, or that it has ended."""

    speaking: bool


class ToolResult(msgspec.Struct, frozen=True):
    """The application's answer to a tool call."""

    id: str
    result: object = None
    """Any JSON."""
    failed: bool = False


ToService = KeyPressed | PartySpeech | ToolResult
"""What the call tells a service; the dialect decides what is sent."""
