"""Command line of softswitch; a sub-command is imported only when it is used, so that help is fast."""

import argparse
import difflib
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Protocol, cast

from softswitch import __version__

COMMANDS = {
    "serve": "run the switch (the default)",
    "doctor": "check what works on this machine",
    "call": "make a call from the command line",
    "token": "make a JSON web token for a client",
    "agent": "answer calls with a language model",
    "eval": "call a bot as a scenario says, and measure it",
    "replay": "play a dump again, and compare the events",
    "mcp": "let an agent use the telephone (MCP server)",
    "user": "list, make, change and delete users of a running switch",
    "trunk": "the same for trunks",
    "queue": "the same for queues",
    "route": "the same for routes",
    "provider": "the same for speech providers",
    "webhook": "the same for webhooks of accounts",
    "key": "the same for API keys",
    "admin": "export, import, reload; who changed what",
}
"""Sub-commands; each is a module of this package, but those of `entries`."""


class Command(Protocol):
    """Interface of the module of a sub-command."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments of the sub-command."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Run the sub-command and return the exit code."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one sub-command and return the exit code of the process.

    Args:
        argv: arguments without the program name; None takes those of the process.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    match words[:1]:
        case ["-h" | "--help" | "help"]:
            print(overview())
            return 0
        case ["--version"]:
            print(f"softswitch {__version__}")
            return 0
    name = words.pop(0) if words and not words[0].startswith("-") else "serve"
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(COMMANDS)}"
        print(f"softswitch: the command {name!r} is unknown, {hint}", file=sys.stderr)
        return 2
    return _run(name, words)


def overview() -> str:
    """Return the text of `softswitch --help`."""
    commands = "\n".join(f"  {name:<10} {text}" for name, text in COMMANDS.items())
    return (
        "usage: softswitch [command] [arguments]\n\n"
        "A self-hosted WebRTC and SIP softswitch.\n\n"
        f"commands:\n{commands}\n\n"
        "`softswitch COMMAND --help` shows the arguments of a command."
    )


def command_of(name: str) -> Command:
    """Return a sub-command by its name, a key of `COMMANDS`."""
    entries = import_module("softswitch.cli.entries")
    if name in entries.KINDS:
        return cast("Command", entries.Entries(name))
    return cast("Command", import_module(f"softswitch.cli.{name}"))


def _run(name: str, words: list[str]) -> int:
    from softswitch.errors import SoftswitchError  # noqa: PLC0415  (see the head of this module)

    command = command_of(name)
    parser = argparse.ArgumentParser(f"softswitch {name}", description=command.__doc__)
    command.add_arguments(parser)
    try:
        return command.run(parser.parse_args(words))
    except SoftswitchError as error:
        print(f"softswitch: {error}", file=sys.stderr)
        return 2
