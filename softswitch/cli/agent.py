"""Answer the calls that a switch announces with a language model, as a program beside the switch.

The switch has its webhook here: [webhook] url = "http://127.0.0.1:9000/".
"""

import argparse
import os
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the agent."""
    parser.add_argument(
        "--config", type=Path, required=True, metavar="FILE", help="the agent (TOML), as in [[agent]] file"
    )
    parser.add_argument(
        "--switch",
        default="ws://127.0.0.1:8080/call/sip",
        help="URL of the switch (default: %(default)s); its key stands in SOFTSWITCH_KEY",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address for the webhook (default: %(default)s)")
    parser.add_argument("--port", type=int, default=9000, help="port for the webhook (default: %(default)s)")
    parser.add_argument("--max-calls", type=int, default=20, help="most simultaneous calls (default: 20)")


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM; return the exit code."""
    from aiohttp import web  # noqa: PLC0415  (slow to import, and help does not need it)

    from softswitch.agent import load_agent  # noqa: PLC0415  (as above)
    from softswitch.agent.server import server_of  # noqa: PLC0415  (as above)

    config = load_agent(arguments.config)
    token = os.environ.get("SOFTSWITCH_KEY", "")
    application = server_of(config, arguments.switch, token=token, max_calls=arguments.max_calls)
    web.run_app(application, host=arguments.host, port=arguments.port)
    return 0
