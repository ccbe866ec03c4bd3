"""Run the switch until SIGINT or SIGTERM; after SIGTERM, running calls may finish."""

import argparse

from softswitch import log
from softswitch.bus.place import take_place
from softswitch.cli.notify import notify, watchdog_s
from softswitch.cli.options import add_settings, load_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the settings."""
    add_settings(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the switch; return the exit code once it has stopped.

    Raises:
        SettingsError: The settings are invalid, or the address cannot be listened on.
    """
    place = take_place()
    settings = load_settings(arguments)
    log.configure(settings.log.level, settings.log.format, worker=place.number if place is not None else 0)
    # Slow to import, and invalid settings are reported first.
    if place is None and settings.server.count() > 1:
        from softswitch.supervisor.run import run as run_supervisor  # noqa: PLC0415

        run_supervisor(settings, notify, watchdog_s=watchdog_s())
        return 0
    from softswitch.app import run as run_app  # noqa: PLC0415

    run_app(settings, notify, watchdog_s=watchdog_s(), place=place, load=lambda: load_settings(arguments))
    return 0
