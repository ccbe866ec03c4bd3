"""Which ports are relayed: two RTP ports alone in one mix, while nobody changes what they say or hear."""

from collections import defaultdict

from softswitch.media.activity import Activity
from softswitch.media.denoising import Denoising
from softswitch.media.dialling import ToneListener, ToneSender
from softswitch.media.needs import Plane
from softswitch.media.playback import Playback
from softswitch.media.ports import Port, RtpPort
from softswitch.media.recorder import Recorders
from softswitch.media.registry import Registry
from softswitch.media.taps import Taps
from softswitch.media.transports import Transports

Pair = tuple[RtpPort, RtpPort]


class Relaying:
    """Decides by itself, whenever something changes, and tells the plane, the registry and the transports."""

    def __init__(
        self,
        *,
        registry: Registry,
        plane: Plane,
        playback: Playback,
        taps: Taps,
        recorders: Recorders,
        tone_listener: ToneListener,
        tone_sender: ToneSender,
        activity: Activity,
        denoising: Denoising,
        transports: Transports,
    ) -> None:
        """Begin with nothing relayed; `registry` and the others know what each port is used for."""
        self._registry, self._plane, self._playback = registry, plane, playback
        self._transports = transports
        self._tone_sender, self._denoising = tone_sender, denoising
        self._readers = (taps, recorders, tone_listener, activity)
        self._pairs: list[Pair] = []
        self._relayed: dict[int, int] = {}
        self._silent: set[int] = set()
        self._revision = -1
        self.enabled = True
        """Whether anything may be relayed; to be set before the first tick."""

    def review(self, now: float) -> None:
        """Look whether anything has changed, and relay accordingly; to be called before the tick's layout."""
        changed = self._registry.is_changed
        revision = self._registry.uses + self._playback.revision + self._tone_sender.revision
        unfit = self._plane.take_changes()
        if not (changed or unfit or revision != self._revision):
            return
        self._revision = revision
        if changed:
            self._pairs = self._find() if self.enabled else []
        relayed: dict[int, int] = {}
        silent: set[int] = set()
        for one, other in self._pairs:
            if self._may(one, other):
                relayed[one.slot], relayed[other.slot] = other.slot, one.slot
                if not (self._is_read(one) or self._is_read(other)):
                    silent.update((one.slot, other.slot))
        is_new = (relayed, silent) != (self._relayed, self._silent)
        if is_new or changed:
            # A port that closed, or was negotiated anew, has ended its relay by itself.
            self._plane.relay(relayed, silent, now)
        if is_new:
            self._relayed, self._silent = relayed, silent
            self._registry.relay(frozenset(relayed), frozenset(silent))
            self._transports.relay(frozenset(relayed))

    def _find(self) -> list[Pair]:
        """Return the ports that are two in their mix and let everything pass."""
        mixes: dict[int, list[Port]] = defaultdict(list)
        for port in self._registry:
            mixes[port.mix].append(port)
        return [
            (one, other)
            for one, other in (ports for ports in mixes.values() if len(ports) == 2)
            if isinstance(one, RtpPort) and isinstance(other, RtpPort) and one.is_open and other.is_open
        ]

    def _may(self, one: RtpPort, other: RtpPort) -> bool:
        """Tell whether nothing is to be heard at either port but the other, as it is."""
        if any(mix in self._playback.mixes for mix in (one.mix, one.own_mix, other.own_mix)):
            return False
        plane = self._plane
        for port in (one, other):
            if port.id in self._denoising or port.id in self._tone_sender or plane.is_dialling(port.slot):
                return False
        return plane.suits(one.slot, other.slot) and plane.suits(other.slot, one.slot)

    def _is_read(self, port: RtpPort) -> bool:
        """Tell whether somebody listens to the port without changing what it says."""
        return any(port.id in reader for reader in self._readers)
