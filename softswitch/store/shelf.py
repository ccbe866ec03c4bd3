"""The recordings and dumps on the disk: how much there may be, and for how long.

A recording is refused, never another one deleted, when the quota is reached: what was recorded yesterday must
not vanish because of somebody's call today. Age alone deletes.
"""

from collections.abc import Sequence
from pathlib import Path

from softswitch.errors import NotNowError
from softswitch.store.folder import Folder, is_safe_name
from softswitch.store.store import NewRecording

TRUNCATED = b'{"truncated":true}\n'
"""The last line of a dump that reached its bound."""

DAY_MS = 86_400_000
_LATER_S = 3600.0
_SAME_NAME = 1000


class Shelf:
    """Be the two folders. All methods touch the disk: call them off the loop."""

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
        """Make the folders and see how full they are."""
        self.recordings.make()
        self.dumps.make()
        self.measure()

    def measure(self) -> None:
        """See whether the quota is reached; dumps go by the last look, since they are written often."""
        folders = (self.recordings, self.dumps)
        self._full = sum(file.size for folder in folders for file in folder.files()) >= self._quota_bytes

    def new_recording(self, call_id: str, wish: str, container: str) -> NewRecording:
        """Make an empty file to record to.

        Args:
            call_id: the call; names the file where there is no fitting wish.
            wish: the name or path that the client asked for; only its last part counts.
            container: extension of the file.

        Raises:
            NotNowError: if the quota is reached or the disk is full.
            OSError: if the folder cannot be written.
        """
        self.measure()
        if self._full:
            raise NotNowError("no room for another recording: the quota is reached", retry_after_s=_LATER_S)
        if self.recordings.free_bytes() < self._free_bytes:
            raise NotNowError("no room for another recording: the disk is full", retry_after_s=_LATER_S)
        stem = _stem(call_id, wish, container)
        for number in range(1, _SAME_NAME):
            name = f"{stem}.{container}" if number == 1 else f"{stem}-{number}.{container}"
            try:
                return NewRecording(name, self.recordings.create(name))
            except FileExistsError:
                continue
        raise NotNowError(f"there are too many recordings named {stem}", retry_after_s=_LATER_S)

    def append(self, call_id: str, texts: Sequence[str]) -> int:
        """Append lines to the dump of a call, as far as the bounds allow; return how many were kept.

        Raises:
            OSError: if the disk fails.
        """
        if self._full or self.dumps.free_bytes() < self._free_bytes:
            return 0
        data = [text.encode(errors="replace") + b"\n" for text in texts]
        return self.dumps.append(call_id, data, self._dump_bytes, TRUNCATED)

    def delete_old(self, now_ms: int) -> tuple[int, int]:
        """Delete what is older than the retention time; return how many recordings and dumps went.

        Args:
            now_ms: the wall clock, epoch milliseconds.
        """
        counts = []
        for folder in (self.recordings, self.dumps):
            old = [file for file in folder.files() if now_ms - file.modified_at > self._retention_ms > 0]
            counts.append(sum(folder.delete(file.name) for file in old))
        self.measure()
        return counts[0], counts[1]


def _stem(call_id: str, wish: str, container: str) -> str:
    last = wish.replace("\\", "/").rpartition("/")[2].removesuffix(f".{container}")
    # Room for "-999" and the extension, so that every name built of it is one.
    bound = 128 - len(f"-{_SAME_NAME}.{container}")
    for stem in (last[:bound], call_id[:bound]):
        if is_safe_name(stem):
            return stem
    return "recording"
