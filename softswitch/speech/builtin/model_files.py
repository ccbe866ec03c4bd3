"""Finds the files of models inside installed packages, and checks that they are the ones that were measured.

Nothing is ever downloaded: a file that is missing or differs is an error that names the package.
"""

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from softswitch.speech.interface import SpeechUnavailableError


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file of a package, pinned."""

    module: str
    """Top-level module of the package; the file lies below its folder."""
    path: str
    sha256: str
    requirement: str
    """What an operator installs to get it, as pip spells it."""

    def installed(self) -> bool:
        """Return whether the file is there; its content is not looked at."""
        folder = _folder(self.module)
        return folder is not None and (folder / self.path).is_file()

    def locate(self) -> Path:
        """Return where the file lies, after its content was checked.

        Raises:
            SpeechUnavailableError: the package is missing, or the file is not the pinned one.
        """
        self.read()
        folder = _folder(self.module)
        assert folder is not None  # noqa: S101  (`read` found the file)
        return folder / self.path

    def read(self) -> bytes:
        """Return the file's bytes; raises as :meth:`locate` does."""
        folder = _folder(self.module)
        if folder is None:
            raise SpeechUnavailableError(f"{self.module} is not installed (pip install '{self.requirement}')")
        try:
            data = (folder / self.path).read_bytes()
        except OSError as error:
            raise SpeechUnavailableError(f"{self.module}: {self.path} cannot be read: {error}") from error
        found = hashlib.sha256(data).hexdigest()
        if found != self.sha256:
            raise SpeechUnavailableError(
                f"{self.module}: {self.path} is not the file that is known (sha256 {found[:12]}, not"
                f" {self.sha256[:12]}); install '{self.requirement}'"
            )
        return data


def _folder(module: str) -> Path | None:
    """Return the folder of a module without importing it, None where it is not installed."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))
