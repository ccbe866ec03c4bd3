"""Command-line flags for settings, shared by the sub-commands."""

import argparse
import os
from collections.abc import Mapping
from pathlib import Path

from softswitch.settings import Settings, load

FLAGS: dict[str, tuple[str, str, str]] = {
    "--host": ("http", "host", "address to listen on"),
    "--port": ("http", "port", "TCP port to listen on"),
    "--sip-port": ("sip", "port", "UDP and TCP port for SIP"),
    "--tls-cert": ("http", "tls_cert", "certificate chain (PEM)"),
    "--tls-key": ("http", "tls_key", "private key (PEM)"),
    "--data": ("paths", "data", "folder of the database, recordings and dumps"),
    "--external-ip": ("rtp", "external_ip", "public address of this host"),
    "--workers": ("server", "workers", "processes that carry calls: a number, or auto"),
    "--webhook": ("webhook", "url", "URL that gets a POST for each incoming call"),
    "--log-level": ("log", "level", "debug, info, warning or error"),
    "--log-format": ("log", "format", "auto, json or text"),
}
"""Section, key and help text by flag. Secrets have no flag, since all users of a host see command lines."""

_NUMBERS = {"--port", "--sip-port"}


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add `--config` and the flags of the most common settings."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings (TOML); also SOFTSWITCH_CONFIG")
    for flag, (section, key, text) in FLAGS.items():
        parser.add_argument(
            flag,
            dest=f"{section}.{key}",
            metavar=key.upper(),
            type=int if flag in _NUMBERS else _word if flag == "--workers" else str,
            help=f"{text} ([{section}] {key})",
        )


def _word(text: str) -> int | str:
    """Return a number where a text is one."""
    return int(text) if text.isdecimal() else text


def load_settings(arguments: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> Settings:
    """Load the settings from file, environment and flags.

    Raises:
        SettingsError: See `settings.load`.
    """
    given = {
        (section, key): value
        for section, key, _ in FLAGS.values()
        if (value := getattr(arguments, f"{section}.{key}")) is not None
    }
    named = environ.get("SOFTSWITCH_CONFIG")
    config = arguments.config or (Path(named) if named else None)
    return load(config, environ, given)
