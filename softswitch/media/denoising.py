"""Noise suppression of single ports."""

from collections.abc import Callable

from softswitch.audio.pcm import Pcm
from softswitch.media.needs import Denoiser


class Denoising:
    """The denoisers of the ports that have one."""

    def __init__(self, make: Callable[[], Denoiser] | None) -> None:
        """Begin with none; `make` makes one, None where this host has no such thing."""
        self._make = make
        self._denoisers: dict[int, Denoiser] = {}

    def __len__(self) -> int:
        return len(self._denoisers)

    def __contains__(self, port: int) -> bool:
        return port in self._denoisers

    def switch(self, port: int, on: bool) -> None:
        """Give a port a denoiser, or take it away.

        Raises:
            ValueError: the engine was built without.
        """
        if not on:
            self._denoisers.pop(port, None)
        elif self._make is None:
            raise ValueError("on: there is no noise suppression here")
        elif port not in self._denoisers:
            self._denoisers[port] = self._make()

    def ports(self) -> list[int]:
        """Return the ports that have one."""
        return list(self._denoisers)

    def process(self, port: int, row: int, _last: int, said: Pcm) -> None:
        """Take the noise out of a port's row of ``(rows, 480)``, in place."""
        said[row] = self._denoisers[port].process(said[row])
