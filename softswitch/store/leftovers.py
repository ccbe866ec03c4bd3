"""What a process that is gone has left open: calls, stays and recordings, which another one completes."""

import logging

import msgspec

from softswitch.store.database import Row
from softswitch.store.file_storage import FileStorage
from softswitch.store.measure import repair
from softswitch.store.node import Node
from softswitch.store.store import Recording, Upload
from softswitch.store.tables import (
    DELETE_BEGUN_RECORDING,
    LEFT_BEGUN,
    NAME_RECORDING,
    OF_NODE,
    SAVE_RECORDING,
    BegunRecording,
    Reading,
    SeenNode,
    close_left_open,
)

logger = logging.getLogger(__name__)


class Leftovers:
    """Finds what other incarnations of a node have left open."""

    def __init__(self, reader: Reading, files: FileStorage, upload: Upload) -> None:
        """Prepare.

        Args:
            reader: reading side of the database.
            files: recordings of this host.
            upload: state of the upload of a recording that is completed here.
        """
        self._reader, self._files, self._upload = reader, files, upload

    def rows(self, node: Node, reason: str = "interrupted") -> list[Row]:
        """Return the rows that close what other incarnations of a node have left open.

        Raises:
            UnavailableError: The database cannot be read.
        """
        seen = self._reader.records("nodes", SeenNode, OF_NODE, (node.name,))
        rows = close_left_open(node, max((each.seen_at for each in seen), default=0), reason)
        for begun in self._reader.records("begun_recordings", BegunRecording, LEFT_BEGUN, node):
            rows += self._found_again(begun)
        return rows

    def _found_again(self, begun: BegunRecording) -> list[Row]:
        """Return the rows that complete a recording whose writer crashed."""
        path = self._files.recordings.path(begun.name)
        rows = [Row(DELETE_BEGUN_RECORDING, (begun.name,))]
        if path is None:
            return rows
        try:
            size, duration_ms = repair(path)
        except OSError as error:
            logger.warning(
                "an interrupted recording cannot be read",
                extra={"file": begun.name, "reason": error.strerror},
            )
            return rows
        found = Recording(
            size=size,
            duration_ms=duration_ms,
            upload=self._upload if size else "",
            **msgspec.structs.asdict(begun),
        )
        return [
            *rows,
            Row(SAVE_RECORDING, msgspec.structs.astuple(found)),
            Row(NAME_RECORDING, (begun.name, begun.call_id, begun.created_at)),
        ]
