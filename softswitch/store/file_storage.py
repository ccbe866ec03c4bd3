"""Files of recordings and dumps, with quota and retention.

When the quota is reached, new recordings are refused; older ones are not deleted for them. Only the retention
time deletes files.
"""

from collections.abc import Sequence
from pathlib import Path

from softswitch.errors import NotNowError
from softswitch.store.folder import Folder, is_safe_name
from softswitch.store.store import NewRecording

TRUNCATED = b'{"truncated":true}\n'
"""Last line of a dump that reached its limit."""

DAY_MS = 86_400_000
_LATER_S = 3600.0
_SAME_NAME = 1000


class FileStorage:
    """Folders of recordings and dumps; all methods access the disk: keep them off the loop."""

    def __init__(
        self,
        root: Path,
        *,
        recordings: str,
        quota_bytes: int,
        retention_days: float,
        dump_bytes: int,
        free_bytes: int,
    ) -> None:
        self.recordings = Folder(root / recordings)
        self.dumps = Folder(root / "dumps", suffix=".jsonl")
        self._quota_bytes = quota_bytes
        self._retention_ms = int(retention_days * DAY_MS)
        self._dump_bytes = dump_bytes
        self._free_bytes = free_bytes
        self._full = False

    def make(self) -> None:
        """Create the folders and measure their size."""
        self.recordings.make()
        self.dumps.make()
        self.measure()

    def measure(self) -> None:
        """Measure whether the quota is reached; dumps, written often, use the last result."""
        folders = (self.recordings, self.dumps)
        self._full = sum(file.size for folder in folders for file in folder.files()) >= self._quota_bytes

    def new_recording(self, call_id: str, requested: str, container: str) -> NewRecording:
        """Create an empty file for a recording.

        Args:
            call_id: id of the call, which names the file if `requested` is not usable.
            requested: file name or path that the client requested; only its last component counts.
            container: file extension.

        Raises:
            NotNowError: The quota is reached or the disk is full.
            OSError: The folder cannot be written.
        """
        self.measure()
        if self._full:
            raise NotNowError(
                "the recording is refused: the quota ([recording] quota_mb) is reached",
                retry_after_s=_LATER_S,
            )
        if self.recordings.free_bytes() < self._free_bytes:
            raise NotNowError("the recording is refused: the disk is full", retry_after_s=_LATER_S)
        stem = _stem(call_id, requested, container)
        for number in range(1, _SAME_NAME):
            name = f"{stem}.{container}" if number == 1 else f"{stem}-{number}.{container}"
            try:
                return NewRecording(name, self.recordings.create(name))
            except FileExistsError:
                continue
        raise NotNowError(
            f"the recording is refused: too many recordings are named {stem}", retry_after_s=_LATER_S
        )

    def append(self, call_id: str, texts: Sequence[str]) -> int:
        """Append lines to the dump of a call within the limits; return the number of lines written.

        Raises:
            OSError: The disk failed.
        """
        if self._full or self.dumps.free_bytes() < self._free_bytes:
            return 0
        data = [text.encode(errors="replace") + b"\n" for text in texts]
        return self.dumps.append(call_id, data, self._dump_bytes, TRUNCATED)

    def delete_old(self, now_ms: int) -> tuple[int, int]:
        """Delete files older than the retention time; return the numbers of recordings and dumps deleted.

        Args:
            now_ms: wall-clock time, in epoch milliseconds.
        """
        counts = []
        for folder in (self.recordings, self.dumps):
            old = [file for file in folder.files() if now_ms - file.modified_at > self._retention_ms > 0]
            counts.append(sum(folder.delete(file.name) for file in old))
        self.measure()
        return counts[0], counts[1]


def _stem(call_id: str, requested: str, container: str) -> str:
    last = requested.replace("\\", "/").rpartition("/")[2].removesuffix(f".{container}")
    # A name has at most 128 characters, "-999" and the extension included.
    bound = 128 - len(f"-{_SAME_NAME}.{container}")
    for stem in (last[:bound], call_id[:bound]):
        if is_safe_name(stem):
            return stem
    return "recording"
