"""Decides which ports are relayed: two RTP ports alone in a mix whose audio the engine does not change."""

from collections import defaultdict
from collections.abc import Set as AbstractSet

from softswitch.media.engine.activity import Activity
from softswitch.media.engine.conditioning import Conditioning
from softswitch.media.engine.dialling import ToneListener, ToneSender
from softswitch.media.engine.interfaces import Plane
from softswitch.media.engine.registry import Registry
from softswitch.media.engine.taps import Taps
from softswitch.media.port import Port
from softswitch.media.recording.recorder import Recorders
from softswitch.media.rtp.rtp_port import RtpPort
from softswitch.media.rtp.transports import Transports
from softswitch.media.tracks.playback import Playback

Pair = tuple[RtpPort, RtpPort]


class Relaying:
    """Finds the pairs to relay after every change, and applies them to plane, registry and transports."""

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
        conditioning: Conditioning,
        transports: Transports,
    ) -> None:
        """Begin without relays; the other components know what each port is used for."""
        self._registry, self._plane, self._playback = registry, plane, playback
        self._transports = transports
        self._tone_sender, self._conditioning, self._recorders = tone_sender, conditioning, recorders
        self._readers = (taps, recorders, tone_listener, activity)
        self._pairs: list[Pair] = []
        self._overheard: frozenset[int] = frozenset()
        """Mixes with a port that none of the others hears."""
        self._relayed: dict[int, int] = {}
        self._silent: set[int] = set()
        self._revision = -1
        self.enabled = True
        """False: mix all calls; to be set before the first tick."""

    def review(self, now: float) -> None:
        """Check for changes and begin or end relays; to be called before the layout of the tick."""
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
        # Calls begin and end all the time, and each change looks at all pairs: what is asked of a port is
        # asked once of all ports, as sets.
        changed_audio, read = self._ports_with_changed_audio(), self._read_ports()
        mixes, dialling, suits = self._playback.mixes, self._plane.dialling, self._plane.suits
        for one, other in self._pairs:
            # Each port is to hear exactly the packets of the other.
            if mixes and (one.mix in mixes or one.own_mix in mixes or other.own_mix in mixes):
                continue
            if changed_audio and (one.id in changed_audio or other.id in changed_audio):
                continue
            first, second = one.slot, other.slot
            if dialling and (first in dialling or second in dialling):
                continue
            if suits(first, second) and suits(second, first):
                relayed[first], relayed[second] = second, first
                if one.id not in read and other.id not in read and one.mix not in self._overheard:
                    silent.add(first)
                    silent.add(second)
        is_new = (relayed, silent) != (self._relayed, self._silent)
        if is_new or changed:
            # A port that closed or was renegotiated has ended its relay in the plane already.
            self._plane.relay(relayed, silent, now)
        if is_new:
            self._relayed, self._silent = relayed, silent
            self._registry.relay(frozenset(relayed), frozenset(silent))
            self._transports.relay(frozenset(relayed))

    def _find(self) -> list[Pair]:
        """Return the pairs of open RTP ports that are alone in their mix, or with ports that none hears."""
        mixes: dict[int, list[Port]] = defaultdict(list)
        overheard: set[int] = set()
        for port in self._registry:
            if port.audience is not None and not port.audience:
                overheard.add(port.mix)
            else:
                mixes[port.mix].append(port)
        self._overheard = frozenset(overheard)
        return [
            (one, other)
            for one, other in (ports for ports in mixes.values() if len(ports) == 2)
            if isinstance(one, RtpPort) and isinstance(other, RtpPort) and one.is_open and other.is_open
        ]

    def _ports_with_changed_audio(self) -> AbstractSet[int]:
        """Return the ports whose audio is conditioned, or that hear DTMF tones or beeps of a recording."""
        return self._conditioning.ports() | self._tone_sender.ports() | self._recorders.announcing()

    def _read_ports(self) -> AbstractSet[int]:
        """Return the ports whose audio a tap, recording or detector reads without changing it."""
        read: set[int] = set()
        for reader in self._readers:
            read |= reader.ports()
        return read
