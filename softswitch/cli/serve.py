"""Run the switch until it is told to end (SIGTERM lets running calls finish first)."""

import argparse
import errno
import os

from softswitch import log
from softswitch.cli.notify import notify
from softswitch.cli.options import add_settings, load_settings
from softswitch.errors import SettingsError

_CANNOT_LISTEN = {errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the settings."""
    add_settings(parser)


def run(arguments: argparse.Namespace) -> int:
    """Serve; return when everything has ended.

    Raises:
        SettingsError: the settings are wrong, or their address cannot be listened on.
    """
    settings = load_settings(arguments)
    log.configure(settings.log.level, settings.log.format)
    from softswitch.app import run as run_app  # noqa: PLC0415  (a second of imports; refusals come before it)

    try:
        run_app(settings, notify)
    except OSError as error:
        if error.errno not in _CANNOT_LISTEN:
            raise
        place = f"{settings.http.host}:{settings.http.port}"
        raise SettingsError(
            f"[http] cannot listen on {place}: {os.strerror(error.errno).lower()}; --port chooses another",
            section="http",
            key="port",
        ) from None
    return 0
