"""What was said in a call, as the model is to believe it: of its own words only those that were heard."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

MOST_CHARACTERS = 24_000
"""Of the conversation that is sent to the model; older turns are left out."""

Message = dict[str, Any]


@dataclass(slots=True)
class ToolCall:
    """A function that the model calls."""

    id: str
    name: str = ""
    arguments: str = ""
    """A JSON object, as the model wrote it."""

    def message(self) -> Message:
        """Return it in the words of the API."""
        function = {"name": self.name, "arguments": self.arguments}
        return {"id": self.id, "type": "function", "function": function}


@dataclass(slots=True)
class Line:
    """What one side said at a time; of the agent, with the tools that it called at the end."""

    role: str
    text: str
    play_id: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    results: Sequence[str] = ()
    """Of `calls`; until all of them have ended the calls are left out, as the API demands."""

    def messages(self) -> Iterator[Message]:
        """Yield it in the words of the API; nothing where nothing was heard."""
        said: Message = {"role": self.role, "content": self.text.strip() or None}
        if self.results:
            said["tool_calls"] = [call.message() for call in self.calls]
        if said["content"] or self.results:
            yield said
        for call, result in zip(self.calls, self.results, strict=False):
            yield {"role": "tool", "tool_call_id": call.id, "content": result}


class History:
    """The conversation of one call."""

    def __init__(self, prompt: str) -> None:
        self._prompt = prompt
        self._lines: list[Line] = []

    def hear(self, text: str) -> None:
        """Note what the caller said; the caller goes on where nothing was answered yet."""
        while self._lines and not any(self._lines[-1].messages()):
            self._lines.pop()
        if self._lines and self._lines[-1].role == "user":
            text = f"{self._lines.pop().text} {text}"
        self._lines.append(Line("user", text))

    def reply(self, play_id: str) -> Line:
        """Begin a reply of the agent, spoken under a play id."""
        line = Line("assistant", "", play_id)
        self._lines.append(line)
        return line

    def interrupted(self, play_id: str, heard: str) -> None:
        """Keep of what was said under a play id only what the caller heard of it, counted in words."""
        left = len(heard.split())
        for line in self._lines:
            if line.play_id == play_id:
                words = line.text.split()
                line.text = " ".join(words[:left])
                left = max(0, left - len(words))

    def messages(self) -> list[Message]:
        """Return the prompt and the latest turns, at least one; a turn begins with words of the caller."""
        kept: list[Message] = []
        turn: list[Message] = []
        size = len(self._prompt)
        for line in reversed(self._lines):
            turn[:0] = line.messages()
            if line.role == "user" or line is self._lines[0]:
                size += len(str(turn))
                if kept and size > MOST_CHARACTERS:
                    break
                kept[:0], turn = turn, []
        return [{"role": "system", "content": self._prompt}, *kept]
