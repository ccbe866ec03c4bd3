"""Play a dump (?dump=true, DATA/dumps/ID.jsonl) against a switch and compare the events.

The exit code is 0 if the same events came in the same order, 1 if not.
"""

import argparse
import asyncio
import os
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the replay."""
    parser.add_argument("dump", type=Path, help="the dump: JSON lines")
    parser.add_argument(
        "--url", default="ws://127.0.0.1:8080/call", help="URL of the switch (default: %(default)s)"
    )
    parser.add_argument(
        "--audio",
        type=Path,
        metavar="WAV",
        help="what the caller said: mono, or a recording of the call, whose left channel is taken",
    )
    parser.add_argument("--token", help="API key or JSON web token; also SOFTSWITCH_KEY")


def run(arguments: argparse.Namespace) -> int:
    """Replay; print the outcome as JSON and return the exit code."""
    import msgspec  # noqa: PLC0415  (help does not need it)

    from softswitch.client import ClientError  # noqa: PLC0415  (slow to import)
    from softswitch.evals.replay import read_audio, read_dump, replay  # noqa: PLC0415  (as above)

    lines = read_dump(arguments.dump)
    audio = read_audio(arguments.audio) if arguments.audio else None
    token = arguments.token or os.environ.get("SOFTSWITCH_KEY") or None
    try:
        outcome = asyncio.run(replay(lines, arguments.url, token, audio))
    except (ClientError, TimeoutError) as error:
        print(f"softswitch: {error}", file=sys.stderr)
        return 2
    print(msgspec.json.format(msgspec.json.encode(outcome)).decode())
    return 0 if outcome.same else 1
