"""Run the switch until it is told to end (SIGTERM lets running calls finish first)."""

import argparse

from softswitch import log
from softswitch.cli.options import add_settings, load_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the settings."""
    add_settings(parser)


def run(arguments: argparse.Namespace) -> int:
    """Serve; return when everything has ended."""
    settings = load_settings(arguments)
    log.configure(settings.log.level, settings.log.format)
    from softswitch.app import run as run_app  # noqa: PLC0415  (a second of imports; refusals come before it)

    run_app(settings)
    return 0
