"""Serve the telephone as tools of the Model Context Protocol, over stdio or HTTP.

Over stdio the key of the switch stands in SOFTSWITCH_KEY. Over HTTP each client sends its own key
(Authorization: Bearer), which is passed on to the switch.
"""

import argparse
import os

from softswitch.errors import UnavailableError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the server."""
    parser.add_argument(
        "--switch", default="http://127.0.0.1:8080", help="URL of the switch (default: %(default)s)"
    )
    parser.add_argument(
        "--http", action="store_true", help="serve http://HOST:PORT/mcp instead of standard input and output"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address for --http (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8090, help="port for --http (default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Serve until the client goes away, or SIGINT.

    Raises:
        UnavailableError: The extra [mcp] is not installed.
    """
    try:
        from softswitch.mcp_server.server import make_server  # noqa: PLC0415  (an extra)
    except ImportError as error:
        raise UnavailableError(
            f"the MCP server needs an extra: pip install softswitch[mcp] ({error})"
        ) from None
    token = os.environ.get("SOFTSWITCH_KEY") or None
    server = make_server(arguments.switch, token, per_request=arguments.http)
    if arguments.http:
        server.run("streamable-http", host=arguments.host, port=arguments.port)
    else:
        server.run("stdio")
    return 0
