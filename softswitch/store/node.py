"""Identity of the switch that writes to a database, which several switches may share."""

import os
import uuid
from pathlib import Path
from typing import NamedTuple

NAME = "node"
"""Name of the file in the data folder that contains the name of the node."""


class Node(NamedTuple):
    """A switch and one of its starts; rows that a crash may leave open carry both."""

    name: str
    """Random name, kept in the data folder."""
    incarnation: str
    """Random, another one at each start."""


def this_node(folder: Path) -> Node:
    """Return the node of a data folder, with a new incarnation; name the node at its first start.

    Raises:
        OSError: The file cannot be read or written.
    """
    path = folder / NAME
    name = path.read_text(encoding="ascii", errors="replace").strip() if path.is_file() else ""
    if not name:
        name = uuid.uuid4().hex
        descriptor = os.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{name}\n")
    return Node(name, uuid.uuid4().hex)
