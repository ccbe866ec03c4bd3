"""Know where the files of softswitch lie: in a checkout, and where a wheel was installed."""

import os
from collections.abc import Mapping
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
"""The folder of the package `softswitch` itself."""


def checkout_root() -> Path | None:
    """Return the folder of the checkout this code runs from, or None where it was installed."""
    root = PACKAGE.parent
    return root if (root / "pyproject.toml").is_file() and (root / "static").is_dir() else None


def static_root() -> Path:
    """Return the folder of the page's files.

    A wheel carries them inside the package; a checkout (or an editable installation) has them beside it.

    Raises:
        FileNotFoundError: if neither is there, which only a broken installation can cause.
    """
    checkout = checkout_root()
    root = checkout / "static" if checkout else PACKAGE / "_static"
    if not root.is_dir():
        raise FileNotFoundError(f"the page's files are missing: {root}")
    return root


def default_data_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return where data goes when `[paths] data` is empty.

    In a checkout that is `var/` beside the sources, so that nothing leaves the folder of a developer;
    otherwise systemd's `StateDirectory=` or, without systemd, the state folder of the XDG specification.
    """
    checkout = checkout_root()
    if checkout:
        return checkout / "var"
    if state := environ.get("STATE_DIRECTORY"):
        return Path(state.split(":")[0])
    state = environ.get("XDG_STATE_HOME", "")
    base = Path(state) if state.startswith("/") else Path.home() / ".local" / "state"
    return base / "softswitch"
