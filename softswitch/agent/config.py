"""The file of an agent (TOML): what it says, which model thinks, which tools it has."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec.toml
from msgspec import Meta

from softswitch.errors import SettingsError
from softswitch.settings.section import Section

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
"""A name that chat APIs take for a function."""
Seconds = Annotated[float, Meta(gt=0, le=120)]

BUILT_IN = frozenset({"transfer", "take_number", "end_call"})
"""Names of the tools that every agent has."""


class Model(Section, frozen=True):
    """A chat API in the form of OpenAI's: ``POST <url>/chat/completions`` with ``stream``."""

    url: Annotated[str, Meta(pattern="^https?://")]
    """Base URL, up to and with the version: http://127.0.0.1:11434/v1."""
    model: str
    key: str = ""
    """Sent as ``Authorization: Bearer``."""
    key_env: str = ""
    """Environment variable that has the key."""
    timeout_s: Seconds = 15.0
    """Longest silence of the API, seconds."""
    extra: dict[str, Any] = msgspec.field(default_factory=dict)
    """Further fields of the request: temperature, max_tokens ..."""

    def secret(self, environ: Mapping[str, str] = os.environ) -> str:
        """Return the key."""
        return self.key or environ.get(self.key_env, "")


class Tool(Section, frozen=True):
    """A function of the model that is an HTTP request."""

    name: Name
    url: Annotated[str, Meta(pattern="^https?://")]
    about: str = ""
    """What it does and when to use it, for the model."""
    method: Literal["GET", "POST"] = "POST"
    """POST: JSON with ``call``, ``caller`` and ``arguments``. GET: the arguments in the query."""
    parameters: dict[str, Any] = msgspec.field(default_factory=dict)
    """JSON Schema of each argument by name."""
    required: tuple[str, ...] = ()
    token: str = ""
    """Sent as ``Authorization: Bearer``."""
    timeout_s: Seconds = 10.0


class Destination(Section, frozen=True):
    """Where callers may be transferred."""

    callee: Annotated[str, Meta(min_length=1)]
    """Number, ``user:<name>``, SIP URI, or any other callee of the switch."""
    about: str = ""
    """Who that is, for the model."""


class AgentConfig(Section, frozen=True):
    """One agent."""

    prompt: str
    """Who it is and how it is to behave."""
    model: Model
    greeting: str = "Hello, how can I help you?"
    sorry: str = "I am sorry, I cannot help you at the moment."
    """Said when the model fails, before the call goes to `fallback` or ends."""
    fallback: str = ""
    """Name of the destination for callers after the model has failed; empty: the call ends."""
    asr: dict[str, Any] = msgspec.field(default_factory=lambda: {"provider": "builtin"})
    """Option ``asr`` of the call."""
    voice: dict[str, Any] = msgspec.field(default_factory=dict)
    """Option ``tts`` of the call: provider, speaker, speed ..."""
    barge_in: dict[str, Any] = msgspec.field(default_factory=dict)
    """Option ``bargeIn`` of the call: minSpeechMs, minWords, fillers ..."""
    transfer: dict[Name, Destination] = msgspec.field(default_factory=dict)
    tool: tuple[Tool, ...] = ()
    max_turns: Annotated[int, Meta(ge=1, le=1000)] = 100
    """Most turns of one call; then it is treated as if the model had failed."""
    inactivity_s: Annotated[float, Meta(gt=0, le=3600)] = 60.0
    """The call ends after so long without speech, seconds."""

    def __post_init__(self) -> None:
        """Check names; raises ValueError naming the field."""
        names = [tool.name for tool in self.tool]
        if twice := {name for name in names if names.count(name) > 1 or name in BUILT_IN}:
            raise ValueError(f"tool name {min(twice)!r} is given twice or built in")
        if self.fallback and self.fallback not in self.transfer:
            raise ValueError(f"fallback: there is no [transfer.{self.fallback}]")


def load_agent(path: Path) -> AgentConfig:
    """Read the file of an agent.

    Raises:
        SettingsError: It cannot be read, or a field is unknown or invalid; the text names file and field.
    """
    try:
        return msgspec.toml.decode(path.read_bytes(), type=AgentConfig)
    except OSError as error:
        reason = error.strerror
    except ValueError as error:
        reason = str(error)
    raise SettingsError(f"{path}: {reason}", section="agent", key="file")
