"""What is done to the audio of the ports that have it switched on: echo, then noise, then loudness."""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import TypeVar

from softswitch.audio.echo_canceller import EchoCanceller
from softswitch.audio.gain_control import GainControl
from softswitch.audio.pcm import Pcm
from softswitch.media.engine.interfaces import Denoiser

T = TypeVar("T")


class Conditioning:
    """The echo cancellers, noise suppressors and gain controls, at most one of each for a port."""

    def __init__(self, make_denoiser: Callable[[], Denoiser] | None) -> None:
        """Begin without ports; `make_denoiser` is None where the engine has no noise suppression."""
        self._make_denoiser = make_denoiser
        self._cancellers: dict[int, EchoCanceller] = {}
        self._denoisers: dict[int, Denoiser] = {}
        self._gains: dict[int, GainControl] = {}

    def __len__(self) -> int:
        return len(self._cancellers) + len(self._denoisers) + len(self._gains)

    def denoise(self, port: int, on: bool) -> None:
        """Switch the noise suppression of a port on or off.

        Raises:
            ValueError: the engine has no noise suppression.
        """
        if on and self._make_denoiser is None:
            raise ValueError("on: this engine was built without noise suppression")
        _switch(self._denoisers, port, self._make_denoiser if on else None)

    def cancel_echo(self, port: int, on: bool) -> None:
        """Switch the cancelling of what a port is sent from what it says on or off."""
        _switch(self._cancellers, port, EchoCanceller if on else None)

    def control_gain(self, port: int, on: bool) -> None:
        """Switch the gain control of a port on or off."""
        _switch(self._gains, port, GainControl if on else None)

    def forget(self, port: int) -> None:
        """Switch all off that a port has."""
        for parts in (self._cancellers, self._denoisers, self._gains):
            parts.pop(port, None)

    def ports(self) -> AbstractSet[int]:
        """Return the ids of the ports that have any of it switched on."""
        return self._cancellers.keys() | self._denoisers.keys() | self._gains.keys()

    @property
    def cancelled(self) -> AbstractSet[int]:
        """The ids of the ports whose echo is cancelled."""
        return self._cancellers.keys()

    def sent(self, port: int, heard: Pcm) -> None:
        """Take the frame ``(480,)`` that a port is sent, whose echo will come back."""
        self._cancellers[port].sent(heard)

    def process(self, port: int, row: int, _last: int, said: Pcm) -> None:
        """Do what is switched on to a port's row of ``(rows, 480)``, in place."""
        for parts in (self._cancellers, self._denoisers, self._gains):
            if port in parts:
                said[row] = parts[port].process(said[row])


def _switch(parts: dict[int, T], port: int, make: Callable[[], T] | None) -> None:
    """Add what `make` makes to a port that has none; None: remove what it has."""
    if make is None:
        parts.pop(port, None)
    elif port not in parts:
        parts[port] = make()
