"""Folders of softswitch: in a checkout, and in an installed wheel."""

import os
from collections.abc import Mapping
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
"""Folder of the package `softswitch`."""


def checkout_root() -> Path | None:
    """Return the folder of the checkout that this code runs from, None if it is installed."""
    root = PACKAGE.parent
    return root if (root / "pyproject.toml").is_file() and (root / "static").is_dir() else None


def static_root() -> Path:
    """Return the folder of the files of the web page.

    A wheel has them inside the package, a checkout (or an editable installation) beside it.

    Raises:
        FileNotFoundError: Neither folder exists, because the installation is broken.
    """
    checkout = checkout_root()
    root = checkout / "static" if checkout else PACKAGE / "_static"
    if not root.is_dir():
        raise FileNotFoundError(f"the files of the web page are missing: {root}; install softswitch again")
    return root


def default_data_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the data folder for an empty `[paths] data`.

    In a checkout it is `var/` beside the sources. Otherwise it is systemd's `StateDirectory=`, or without
    systemd the state folder of the XDG base directory specification.
    """
    checkout = checkout_root()
    if checkout:
        return checkout / "var"
    if state := environ.get("STATE_DIRECTORY"):
        return Path(state.split(":")[0])
    state = environ.get("XDG_STATE_HOME", "")
    base = Path(state) if state.startswith("/") else Path.home() / ".local" / "state"
    return base / "softswitch"
