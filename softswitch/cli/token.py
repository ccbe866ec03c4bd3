"""Make a JSON web token that lets a client use the switch, signed with [auth] jwt_secret."""

import argparse
import secrets
import time
from typing import get_args

import jwt

from softswitch.cli.options import add_settings, load_settings
from softswitch.errors import SettingsError
from softswitch.settings import Scope


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the token is to say."""
    parser.add_argument("--subject", default="client", help="whom the token is for (default: client)")
    parser.add_argument(
        "--scope",
        action="append",
        choices=get_args(Scope),
        help="what it allows; may be given several times (default: call)",
    )
    parser.add_argument("--hours", type=float, default=24.0, help="how long it is good (default: 24)")
    parser.add_argument(
        "--new-secret", action="store_true", help="print a fresh secret for [auth] jwt_secret instead"
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
            "[auth] jwt_secret is not set: `softswitch token --new-secret` makes one, "
            "SOFTSWITCH_AUTH_JWT_SECRET or the settings file takes it",
            section="auth",
            key="jwt_secret",
        )
    scopes = arguments.scope or ["call"]
    print(
        make_token(settings.auth.jwt_secret, arguments.subject, scopes, time.time(), arguments.hours * 3600)
    )
    return 0


def make_token(secret: str, subject: str, scopes: list[Scope], now: float, life_s: float) -> str:
    """Return a token signed with HS256; its claim `scope` is a list of words (RFC 8693 section 4.2).

    Args:
        secret: that of [auth] jwt_secret.
        subject: whom the limits of a key are counted for.
        scopes: what it allows.
        now: seconds since the epoch.
        life_s: seconds until it expires.
    """
    claims = {"sub": subject, "scope": " ".join(scopes), "iat": int(now), "exp": int(now + life_s)}
    return jwt.encode(claims, secret, algorithm="HS256")
