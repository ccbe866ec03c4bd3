"""The file of a scenario (TOML): which bot is called, what is said to it, and what it must keep."""

import tomllib
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from softswitch.errors import SettingsError
from softswitch.settings.section import Section

Millis = Annotated[int, Meta(ge=0, le=120_000)]


class Bot(Section, frozen=True):
    """The bot: a callee of the switch, or a WebSocket service."""

    callee: str = ""
    """``agent:<name>``, ``user:<name>``, a number, a SIP URI, ``stream:<ws url>``."""
    url: str = ""
    """ws or wss URL of a service."""
    protocol: str = "raw"
    """Its protocol: twilio, telnyx, openai-realtime ... as in `[[route]] protocol`."""
    option: dict[str, Any] = msgspec.field(default_factory=dict)
    """Further options of the call."""

    def __post_init__(self) -> None:
        """Check that there is one bot."""
        if bool(self.callee) == bool(self.url):
            raise ValueError("bot: set either callee or url")
        if self.url and not self.url.startswith(("ws://", "wss://")):
            raise ValueError("bot.url must start with ws:// or wss://")


class Turn(Section, frozen=True):
    """What the caller says, and what is expected of the reply."""

    say: Annotated[str, Meta(min_length=1, max_length=1000)]
    """Spoken by the switch's own voice."""
    interrupt_after_ms: Millis | None = None
    """Speak when the bot has spoken for so long, instead of after it has finished."""
    expect: tuple[str, ...] = ()
    """Words that must be in the reply; others are not looked at."""


class Limits(Section, frozen=True):
    """What the bot must keep."""

    greeting_ms: Millis = 5000
    """From the answer to the first sound."""
    response_ms: Millis = 2500
    """From the end of a turn to the first sound of the reply, 95th percentile."""
    barge_in_ms: Millis = 1000
    """From the beginning of an interruption to the bot's silence, the longest."""
    missing_words: Annotated[float, Meta(ge=0, le=1)] = 0.0
    """Share of the expected words that were not understood in the replies."""


class Scenario(Section, frozen=True):
    """A conversation with a bot."""

    bot: Bot
    turn: Annotated[tuple[Turn, ...], Meta(min_length=1, max_length=50)]
    limits: Limits = Limits()
    greets: bool = True
    """Whether the bot speaks first."""
    noise_db: Annotated[float, Meta(ge=-90, le=-20)] | None = None
    """Level of the noise around the caller, dB of full scale; none: digital silence."""
    voice: dict[str, Any] = msgspec.field(default_factory=dict)
    """Options of the caller's voice: provider, speaker, speed ..."""
    patience_s: Annotated[float, Meta(gt=0, le=120)] = 15.0
    """Longest wait for the bot, seconds."""


def load_scenario(path: Path) -> Scenario:
    """Read a scenario.

    Raises:
        SettingsError: It cannot be read, or a field is unknown or invalid; the text names file and field.
    """
    try:
        return msgspec.convert(tomllib.loads(path.read_text("utf-8")), Scenario)
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise SettingsError(f"{path}: {error}") from None
