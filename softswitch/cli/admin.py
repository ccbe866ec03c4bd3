"""Export, import and reload the settings of a running switch, and show who changed what, over its REST."""

import argparse
import json
import sys
from pathlib import Path

from softswitch.cli.entries import add_connection, ask


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_connection(parser)
    verbs = parser.add_subparsers(
        dest="verb", required=True, metavar="VERB", help="export, import FILE, reload, audit"
    )
    verbs.add_parser("export", help="print users, trunks, routes, providers and webhooks as TOML")
    verbs.add_parser("import", help="make or change what a TOML file says").add_argument(
        "file", help="the file; - for the standard input"
    )
    verbs.add_parser("reload", help="read the settings file again")
    verbs.add_parser("audit", help="show who changed what").add_argument(
        "--limit", type=int, default=50, help="how many changes (default: %(default)s)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Send the request and print the answer."""
    match arguments.verb:
        case "export":
            answer = ask(arguments, "GET", "/admin/export")
        case "import":
            file = arguments.file
            text = sys.stdin.read() if file == "-" else Path(file).read_text("utf-8")
            answer = ask(arguments, "POST", "/admin/import", text)
        case "reload":
            answer = ask(arguments, "POST", "/admin/reload")
        case _:
            answer = ask(arguments, "GET", f"/admin/audit?limit={arguments.limit}")
    print(answer if isinstance(answer, str) else json.dumps(answer, indent=2, ensure_ascii=False))
    return 0
