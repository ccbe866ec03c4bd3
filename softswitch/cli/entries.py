"""Commands for users, trunks, queues, routes, providers and so on of a running switch, over its REST."""

import argparse
import json
import os
import sys
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote

from softswitch.errors import SoftswitchError

TIMEOUT_S = 30.0
KINDS = {
    "user": "users",
    "trunk": "trunks",
    "queue": "queues",
    "route": "routes",
    "provider": "providers",
    "webhook": "webhooks",
    "key": "keys",
}
"""Commands, and the last part of their paths."""
VERBS = (
    "list, show NAME, add NAME FIELD=VALUE ..., set NAME FIELD=VALUE ..., delete NAME; a value is JSON, else "
    "text, and FIELD=- is read from the standard input"
)
KEY = "SOFTSWITCH_KEY"
"""Variable with the key or token of an administrator."""


class RefusedError(SoftswitchError):
    """The switch refused a request, or does not answer."""


class Entries:
    """The command of one kind: list, show, add, set, delete."""

    def __init__(self, kind: str) -> None:
        """Take the kind, a key of `KINDS`."""
        self._plural = KINDS[kind]
        self.__doc__ = f"List, make, change and delete the {self._plural} of a running switch."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments."""
        add_connection(parser)
        verbs = parser.add_subparsers(
            dest="verb",
            required=True,
            metavar="VERB",
            help=VERBS,
        )
        verbs.add_parser("list", help="list all")
        for verb, text in (("show", "show one"), ("delete", "delete one")):
            verbs.add_parser(verb, help=text).add_argument("name")
        for verb, text in (("add", "make one"), ("set", "change fields of one")):
            one = verbs.add_parser(verb, help=text)
            one.add_argument("name")
            one.add_argument(
                "fields",
                nargs="*",
                type=read_field,
                metavar="FIELD=VALUE",
                help="a value is JSON, else text; FIELD=- reads it from the standard input",
            )

    def run(self, arguments: argparse.Namespace) -> int:
        """Send the request and print the answer as JSON."""
        path = f"/admin/{self._plural}"
        one = f"{path}/{quote(getattr(arguments, 'name', ''), safe='')}"
        match arguments.verb:
            case "list":
                answer = ask(arguments, "GET", path)
            case "show":
                answer = ask(arguments, "GET", one)
            case "delete":
                answer = ask(arguments, "DELETE", one)
            case "add":
                answer = ask(arguments, "POST", path, {"name": arguments.name, **dict(arguments.fields)})
            case _:
                answer = ask(arguments, "PATCH", one, dict(arguments.fields))
        print(json.dumps(answer, indent=2, ensure_ascii=False))
        return 0


def add_connection(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say which switch is meant."""
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="the switch (default: %(default)s)")
    parser.add_argument("--token", help=f"key or token with the scope admin (default: {KEY})")


def read_field(text: str) -> tuple[str, Any]:
    """Parse `FIELD=VALUE`; `FIELD=-` reads a line of the standard input, so that no list of processes has it.

    Raises:
        argparse.ArgumentTypeError: There is no `=`.
    """
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r} must be FIELD=VALUE")
    if value == "-":
        return name, sys.stdin.readline().rstrip("\n")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def ask(arguments: argparse.Namespace, method: str, path: str, body: Any = None) -> Any:
    """Send a request; return its JSON or text.

    Args:
        arguments: With the URL and the token.
        method: Method.
        path: Path.
        body: Body as JSON, or a text as it is; None: none.

    Raises:
        RefusedError: The switch refused it, or does not answer.
    """
    url = arguments.url.rstrip("/") + path
    if not url.startswith(("http://", "https://")):
        raise RefusedError(f"--url: {arguments.url!r} must start with http:// or https://")
    data = None if body is None else (body if isinstance(body, str) else json.dumps(body)).encode()
    request = urllib.request.Request(url, data, method=method)  # noqa: S310  (the scheme is checked above)
    if token := arguments.token or os.environ.get(KEY, ""):
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310  (as above)
            text = answer.read().decode()
            return json.loads(text) if "json" in answer.headers.get("Content-Type", "") else text
    except urllib.error.HTTPError as error:
        raise RefusedError(f"{error.code}: {_reason(error.read())}") from None
    except (OSError, ValueError) as error:
        raise RefusedError(f"{arguments.url} does not answer: {getattr(error, 'reason', error)}") from None


def _reason(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace")[:500]
