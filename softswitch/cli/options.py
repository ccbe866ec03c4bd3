"""The flags that stand for settings, shared by the sub-commands."""

import argparse
import os
from collections.abc import Mapping
from pathlib import Path

from softswitch.settings import Settings, load

FLAGS: dict[str, tuple[str, str, str]] = {
    "--host": ("http", "host", "address to listen on"),
    "--port": ("http", "port", "TCP port to listen on"),
    "--tls-cert": ("http", "tls_cert", "certificate chain (PEM)"),
    "--tls-key": ("http", "tls_key", "private key (PEM)"),
    "--data": ("paths", "data", "folder of the database, recordings and dumps"),
    "--external-ip": ("rtp", "external_ip", "address by which the world reaches this host"),
    "--webhook": ("webhook", "url", "URL that is told of incoming calls"),
    "--log-level": ("log", "level", "debug, info, warning or error"),
    "--log-format": ("log", "format", "auto, json or text"),
}
"""Flag to section, key and help. Secrets have no flag: everybody on a host reads the command lines of all."""

_NUMBERS = {"--port"}


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add `--config` and the flags of the most common settings."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings (TOML); also SOFTSWITCH_CONFIG")
    for flag, (section, key, text) in FLAGS.items():
        parser.add_argument(
            flag,
            dest=f"{section}.{key}",
            metavar=key.upper(),
            type=int if flag in _NUMBERS else str,
            help=f"{text} ([{section}] {key})",
        )


def load_settings(arguments: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> Settings:
    """Load the settings by file, environment and the flags that were given.

    Raises:
        SettingsError: as `settings.load` does.
    """
    given = {
        (section, key): value
        for section, key, _ in FLAGS.values()
        if (value := getattr(arguments, f"{section}.{key}")) is not None
    }
    named = environ.get("SOFTSWITCH_CONFIG")
    config = arguments.config or (Path(named) if named else None)
    return load(config, environ, given)
