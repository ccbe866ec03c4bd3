"""The command line. A sub-command is imported only when it is asked for, so that help comes at once."""

import argparse
import difflib
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Protocol, cast

from softswitch import __version__

COMMANDS = {
    "serve": "run the switch (the default)",
    "doctor": "tell what works on this machine and what does not",
    "call": "make a call from the shell",
    "token": "make a JSON web token for a client",
}
"""The sub-commands, each the module of that name below this package."""


class Command(Protocol):
    """What the module of a sub-command offers."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add its arguments."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Do its work and return the exit code."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one sub-command and return the exit code of the process.

    Args:
        argv: the arguments without the program's name; those of the process if None.
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
        "`softswitch COMMAND --help` tells more about one of them."
    )


def _run(name: str, words: list[str]) -> int:
    from softswitch.errors import SoftswitchError  # noqa: PLC0415  (see the head of this module)

    command = cast("Command", import_module(f"softswitch.cli.{name}"))
    parser = argparse.ArgumentParser(f"softswitch {name}", description=command.__doc__)
    command.add_arguments(parser)
    try:
        return command.run(parser.parse_args(words))
    except SoftswitchError as error:
        print(f"softswitch: {error}", file=sys.stderr)
        return 2
