"""From packets to the bus: decoded, made up for, stretched and resampled, 20 ms of every port at a time."""

import numpy as np

from softswitch.audio.pcm import FRAME, Indices, Pcm
from softswitch.audio.stretch import accelerate, expand
from softswitch.media.rtp_formats import CODECS, Formats
from softswitch.media.rtp_store import PcmStore
from softswitch.rtp.jitter import Due
from softswitch.rtp.packet import UNITS, UNITS_PER_MS, Bytes, Ints
from softswitch.rtp.playout import PLAY, RECOVER, REPAIRED, SILENCE
from softswitch.rtp.session import Sessions

_PER_SAMPLE = UNITS // 24000
"""Units in a sample of the bus."""

_FRAME_UNITS = FRAME * _PER_SAMPLE

_PASSES = 12
"""Steps of one tick at most; a stranger may send packets shorter than any telephone's."""

_FORCED = 50 * UNITS_PER_MS
"""Excess of delay from which on sound is cut where it is heard: a second of it would be worse."""

_PATIENCE = 12
"""Frames in which a good place for a cut is looked for; noise, for one, has none."""

_SETTLING = 8
"""Ticks from one look for rests that can be dropped to the next."""

_RECALLED = 3
"""Packets decoded once more where playing is taken up again."""

_NO_KIND = -1
_NOTHING: Pcm = np.zeros((1, 0), np.float32)
_ENDING: Pcm = np.array([[1.0, 0.0]], np.float32)


class RtpReceiver:
    """Turns what the jitter buffer says into sound."""

    def __init__(self, formats: Formats, sessions: Sessions) -> None:
        """Decode with `formats` what `sessions` hand out."""
        self._formats, self._sessions = formats, sessions
        self._jitter = sessions.jitter
        self._store = PcmStore()
        self._kind = np.zeros(0, np.int64)
        self._patience = np.zeros(0, np.int64)
        self.concealed = np.zeros(0, np.int64)
        """Units made up in each slot."""
        self.concealed_total = self.recovered_total = self.stretched_total = 0
        """Holes concealed, holes filled from redundancy, pitch periods taken out or put in."""
        # Fixed noise is as good as fresh: nobody hears that it returns after two seconds.
        self._hiss: Pcm = np.random.default_rng(1).uniform(-1.7, 1.7, 48000).astype(np.float32)
        self._hiss_at = 0
        self._ticks = 0

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""
        more = slots - len(self._kind)
        if more <= 0:
            return
        self._store.grow(slots)
        self._kind = np.pad(self._kind, (0, more), constant_values=_NO_KIND)
        self._patience = np.pad(self._patience, (0, more))
        self.concealed = np.pad(self.concealed, (0, more))

    def open(self, slot: int) -> None:
        """Begin anew in `slot`."""
        self._store.clear(slot)
        self._kind[slot] = _NO_KIND
        self.concealed[slot] = 0

    def kind(self, slot: int) -> int:
        """Return the kind that `slot` heard last, -1 for none."""
        return int(self._kind[slot])

    def rest(self, slot: int, kind: int) -> None:
        """Play nothing in `slot` from now on, to which packets of `kind` come."""
        self._kind[slot] = kind
        self._jitter.rest(slot)
        self._store.clear(slot)

    def resume(self, slot: int, now: int) -> tuple[Pcm, float]:
        """Go on behind the newest packet of `slot`.

        The last ones are decoded once more, so that decoder, filter and concealment know what sounded before.

        Args:
            slot: row.
            now: units of the monotonic clock.

        Returns:
            Their sound at the bus's rate, ``(1, samples)``, perhaps none, and the last sample, which the
            filter still holds.
        """
        end = self._jitter.timeline.end(slot)
        self._jitter.resume(slot, now)
        self._store.clear(slot)
        recent = self._jitter.kept(slot, end[0] + 1 - _RECALLED)[0] if end is not None else None
        if recent is None or not len(recent.slots):
            return _NOTHING, 0.0
        kind = int(recent.kinds[-1])
        self._kind[slot] = kind
        sounds, last = [_NOTHING], 0.0
        for row in np.flatnonzero(recent.kinds == kind).tolist():
            one = recent.slots[row : row + 1]
            payload = recent.rows[row : row + 1, : int(recent.lengths[row])]
            pcm, counts = self._formats.bank(kind).decode(payload, recent.lengths[row : row + 1], one)
            sounds.append(self._formats.to_bus(kind, pcm[:, : int(counts[0])], one).copy())
            last = float(pcm[0, int(counts[0]) - 1])
        return np.concatenate(sounds, axis=1), last

    def delay(self, slot: int, now: int) -> int:
        """Return the delay that the jitter buffer adds in `slot`, units."""
        return self._jitter.delay(slot, int(self._store.held[slot]) * _PER_SAMPLE, now)

    def pull(self, slots: Indices, out: Pcm, now: int) -> None:
        """Write the next 20 ms of each slot.

        Args:
            slots: each at most once, ``(n,)``.
            out: ``(n, 480)``, C-contiguous.
            now: units of the monotonic clock.
        """
        if len(slots) == 0:
            return
        self._ticks += 1
        held = self._store.held
        even = not held.any()
        self._jitter.review(slots, None if even else held[slots] // FRAME * _FRAME_UNITS, now)
        if even and not self._jitter.stretching:
            self._pull_even(slots, out, now)
            return
        odd = (held[slots] > 0) | (self._jitter.excess[slots] != 0)
        rows, others = np.flatnonzero(~odd), np.flatnonzero(odd)
        if len(rows):
            frames = np.empty((len(rows), FRAME), np.float32)
            self._pull_even(slots[rows], frames, now)
            out[rows] = frames
        if len(others):
            out[others] = self._assemble(slots[others], now, None)

    def _pull_even(self, slots: Indices, out: Pcm, now: int) -> None:
        """Write the next frame of slots of which nothing is held back: most play one packet of 20 ms."""
        due = self._jitter.pop(slots, now)
        straight = (due.duration == _FRAME_UNITS) & (due.kind == self._kind[slots])
        if not due.plain:
            straight &= due.action == PLAY
        kind = int(due.kind[0])
        if straight.all() and (due.kind == kind).all():
            self._play_straight(kind, due, slots, out)
            return
        for kind in _distinct(due.kind[straight]):
            rows = np.flatnonzero(straight & (due.kind == kind))
            frames = np.empty((len(rows), FRAME), np.float32)
            self._play_straight(kind, due.chosen(rows), slots[rows], frames)
            out[rows] = frames
        others = np.flatnonzero(~straight)
        if len(others):
            out[others] = self._assemble(slots[others], now, due.chosen(others))

    def _play_straight(self, kind: int, due: Due, slots: Indices, out: Pcm) -> None:
        """Decode one packet of 20 ms for each slot, right into the bus."""
        payloads = self._jitter.payloads(due.place, int(due.length.max()))
        pcm, counts = self._formats.bank(kind).decode(payloads, due.length, slots)
        if (counts == CODECS[kind].sample_rate // 50).all():
            self._formats.to_bus(kind, pcm, slots, out)
            return
        self._append(kind, pcm, counts, slots)
        self._store.take(slots, out)

    def _assemble(self, slots: Indices, now: int, due: Due | None) -> Pcm:
        """Put 20 ms together from what is held and as many steps of the jitter buffer as it takes."""
        store = self._store
        rows = np.flatnonzero(store.held[slots] < FRAME)
        for turn in range(_PASSES):
            if len(rows) == 0:
                break
            short = slots[rows]
            if due is None:
                due = self._jitter.pop(short, now)
            self._render(due, short, may_stretch=turn == 0)
            due = None
            rows = rows[store.held[short] < FRAME]
        out = np.empty((len(slots), FRAME), np.float32)
        store.take(slots, out)
        if self._ticks % _SETTLING == 0:
            # Packets of another duration leave a rest by themselves, and need it.
            rows = np.flatnonzero(self._jitter.lasting(slots) == _FRAME_UNITS)
            store.settle(slots[rows], out[rows])
        return out

    def _render(self, due: Due, slots: Indices, *, may_stretch: bool) -> None:
        """Make the sound of one step of the jitter buffer."""
        playing = due.action == PLAY
        for kind in _distinct(due.kind[playing]):
            rows = np.flatnonzero(playing & (due.kind == kind))
            self._play(
                kind, self._payloads(due, rows), due.length[rows], slots[rows], may_stretch=may_stretch
            )
        if not playing.all():
            self._fill(due, np.flatnonzero(~playing), slots)

    def _payloads(self, due: Due, rows: Indices) -> Bytes:
        return self._jitter.payloads(due.place[rows], int(due.length[rows].max()))

    def _play(self, kind: int, payloads: Bytes, lengths: Ints, slots: Indices, *, may_stretch: bool) -> None:
        turned = slots[self._kind[slots] != kind]
        if len(turned):
            self._formats.switch(kind, turned)
            self._kind[turned] = kind
        pcm, counts = self._formats.bank(kind).decode(payloads, lengths, slots)
        excess = self._jitter.excess[slots]
        if not may_stretch or not excess.any():
            self._append(kind, pcm, counts, slots)
            return
        even = excess == 0
        self._append(kind, pcm[even], counts[even], slots[even])
        for row in np.flatnonzero(~even).tolist():
            self._append_stretched(kind, pcm[row : row + 1, : int(counts[row])], slots[row : row + 1])

    def _append(self, kind: int, pcm: Pcm, counts: Indices, slots: Indices) -> None:
        """Append decoded rows, of which `counts` samples are sound, at the bus's rate."""
        for count in _distinct(counts):
            rows = np.flatnonzero(counts == count)
            if len(rows) == len(counts):
                self._store.append(slots, self._formats.to_bus(kind, pcm[:, :count], slots))
            else:
                self._store.append(slots[rows], self._formats.to_bus(kind, pcm[rows, :count], slots[rows]))

    def _append_stretched(self, kind: int, pcm: Pcm, slots: Indices) -> None:
        """Append one row with a pitch period less, or more, if it has a good place for that."""
        slot = int(slots[0])
        excess = int(self._jitter.excess[slot])
        sound = self._formats.to_bus(kind, pcm, slots)
        before = sound.shape[1]
        if before >= FRAME:
            self._patience[slot] += 1
            force = abs(excess) > _FORCED or self._patience[slot] > _PATIENCE
            sound, counts = (accelerate if excess > 0 else expand)(sound, force=force)
            sound = sound[:, : int(counts[0])]
        gained = (before - sound.shape[1]) * _PER_SAMPLE
        if gained:
            self.stretched_total += 1
            self._patience[slot] = 0
            left = excess - gained
            # Half a period too much is no reason to turn round.
            self._jitter.excess[slot] = left if left * excess > 0 else 0
        self._store.append(slots, sound)

    def _fill(self, due: Due, rows: Indices, slots: Indices) -> None:
        """Make up for holes, alike ones together."""
        # What falls silent by announcement still needs its last sound to end without a click.
        ending = (due.action[rows] == SILENCE) & (due.run[rows] == 0)
        keys = (self._kind[slots[rows]], due.action[rows], due.duration[rows], ending)
        groups: dict[tuple[int, int, int, bool], list[int]] = {}
        for row, *key in zip(rows.tolist(), *(column.tolist() for column in keys), strict=True):
            groups.setdefault((key[0], key[1], key[2], key[3]), []).append(row)
        for (kind, action, duration, end), members in groups.items():
            alike = np.array(members, np.intp)
            if kind == _NO_KIND or (action == SILENCE and not end):
                self._store.append(slots[alike], self._quiet(slots[alike], duration // _PER_SAMPLE))
            else:
                self._conceal(due, alike, slots[alike], kind, duration)

    def _conceal(self, due: Due, rows: Indices, slots: Indices, kind: int, duration: int) -> None:
        """Make up for rows of one kind and duration that miss sound."""
        action = int(due.action[rows[0]])
        samples = duration * CODECS[kind].sample_rate // UNITS
        bank = self._formats.bank(kind)
        if action == RECOVER and (due.kind[rows] == kind).all():
            pcm = bank.recover(self._payloads(due, rows), due.length[rows], slots, samples)
            self.recovered_total += len(rows)
        else:
            pcm = bank.conceal(slots, samples)
            self.concealed_total += len(rows)
        gains = _ENDING if action == SILENCE else _fade(due.run[rows], duration)
        if action != SILENCE:
            self.concealed[slots] += duration
        if gains is not None:
            pcm *= _ramps(gains, samples)
        self._store.append(slots, self._formats.to_bus(kind, pcm, slots))

    def _quiet(self, slots: Indices, samples: int) -> Pcm:
        """Return silence, or the comfort noise that was asked for."""
        noise = self._sessions.noise[slots]
        if not noise.any():
            return np.zeros((len(slots), samples), np.float32)
        self._hiss_at = (self._hiss_at + 997) % (len(self._hiss) - samples)
        hissing: Pcm = noise[:, None] * self._hiss[self._hiss_at : self._hiss_at + samples]
        return hissing


def _distinct(numbers: Ints) -> list[int]:
    """Return the numbers that occur; for a few of them this is much quicker than sorting in numpy."""
    return sorted(set(numbers.tolist()))


def _fade(run: Ints, duration: int) -> Pcm | None:
    """Return the gain at begin and end of concealment ``(n, 2)`` that was going on for `run`; None for 1."""
    ends = np.stack((run, run + duration), axis=1)
    if ends.max(initial=0) <= REPAIRED // 2:
        return None
    gain: Pcm = np.clip((REPAIRED - ends) / (REPAIRED / 2), 0.0, 1.0).astype(np.float32)
    return gain


def _ramps(gains: Pcm, samples: int) -> Pcm:
    """Return ramps ``(n, samples)`` between two gains."""
    way = (np.arange(samples, dtype=np.float32) + 0.5) / max(samples, 1)
    ramp: Pcm = (gains[:, :1] + (gains[:, 1:] - gains[:, :1]) * way).astype(np.float32)
    return ramp
