"""Create a JSON web token for a client of the switch, signed with [auth] jwt_secret."""

import argparse
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import get_args

import jwt

from softswitch.call.authority import GRANTS
from softswitch.cli.options import add_settings, load_settings
from softswitch.errors import SettingsError
from softswitch.settings import Scope


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments for the claims of the token."""
    parser.add_argument("--subject", default="client", help="client that the token is for (default: client)")
    parser.add_argument(
        "--scope",
        action="append",
        choices=get_args(Scope),
        help="scope to permit; may be given several times (default: call)",
    )
    parser.add_argument("--account", default="", help="account of the token (default: the subject)")
    parser.add_argument(
        "--room",
        action="append",
        metavar="ID=GRANTS",
        type=read_room,
        help="room and its grants, for example 3f2a=join,speak,hear; '*' stands for every room "
        f"of the account; may be given several times; grants: {', '.join(sorted(GRANTS))}",
    )
    parser.add_argument(
        "--user",
        action="append",
        metavar="NAME",
        help="[[user]] that telephones may register as with the token; may be given several times "
        "(default: the subject)",
    )
    parser.add_argument("--hours", type=float, default=24.0, help="lifetime in hours (default: 24)")
    parser.add_argument(
        "--new-secret", action="store_true", help="print a new secret for [auth] jwt_secret instead"
    )
    add_settings(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the token."""
    if arguments.new_secret:
        print(secrets.token_urlsafe(48))
        return 0
    settings = load_settings(arguments)
    if not settings.auth.jwt_secret:
        raise SettingsError(
            "[auth] jwt_secret is not set: create one with `softswitch token --new-secret` and put it into "
            "SOFTSWITCH_AUTH_JWT_SECRET or the settings file",
            section="auth",
            key="jwt_secret",
        )
    rooms = dict(arguments.room) if arguments.room else None
    # Grants imply the scope of rooms; a token for rooms alone may not make calls.
    scopes = arguments.scope or ([] if rooms else ["call"])
    print(
        make_token(
            settings.auth.jwt_secret,
            arguments.subject,
            scopes,
            time.time(),
            arguments.hours * 3600,
            account=arguments.account,
            rooms=rooms,
            users=arguments.user,
        )
    )
    return 0


def read_room(text: str) -> tuple[str, list[str]]:
    """Parse `ID=GRANT,GRANT`.

    Raises:
        argparse.ArgumentTypeError: A part is missing, or a grant is unknown.
    """
    room, _, words = text.rpartition("=")
    grants = words.split(",")
    if not room or not words:
        raise argparse.ArgumentTypeError(f"{text!r} must be ID=GRANT,GRANT")
    if unknown := sorted(set(grants) - GRANTS):
        raise argparse.ArgumentTypeError(
            f"unknown grant {unknown[0]!r}, known are {', '.join(sorted(GRANTS))}"
        )
    return room, grants


def make_token(
    secret: str,
    subject: str,
    scopes: Sequence[Scope],
    now: float,
    life_s: float,
    *,
    account: str = "",
    rooms: Mapping[str, Sequence[str]] | None = None,
    users: Sequence[str] | None = None,
) -> str:
    """Return a token signed with HS256; its claim `scope` is a list of words (RFC 8693 section 4.2).

    Args:
        secret: value of [auth] jwt_secret.
        subject: subject, for which limits per key are counted.
        scopes: permitted scopes.
        now: epoch seconds.
        life_s: lifetime in seconds.
        account: account whose calls and rooms it may use; "" means the subject.
        rooms: grants by room id; None means no restriction to rooms.
        users: users that telephones may register as with it; None means the subject.
    """
    claims: dict[str, object] = {
        "sub": subject,
        "scope": " ".join(scopes),
        "iat": int(now),
        "exp": int(now + life_s),
    }
    if account:
        claims["account"] = account
    if rooms is not None:
        claims["rooms"] = {room: list(grants) for room, grants in rooms.items()}
    if users:
        claims["users"] = list(users)
    return jwt.encode(claims, secret, algorithm="HS256")
