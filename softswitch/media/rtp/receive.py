"""Received audio of all RTP ports, 20 ms at a time: decoded, concealed, stretched and resampled.

The jitter buffer decides (:class:`softswitch.rtp.jitter.Due`); this module makes the sound. Most slots play
one packet of 20 ms, straight from the decoder into the bus (`_pull_even`). The others collect samples in a
store, with as many decisions of the jitter buffer as 20 ms take (`_assemble`).
"""

import numpy as np

from softswitch.audio.pcm import FRAME, Indices, Pcm
from softswitch.audio.stretch import accelerate, expand
from softswitch.media.rtp.formats import CODECS, Formats
from softswitch.media.rtp.ordinary import OrdinaryPackets
from softswitch.media.rtp.store import PcmStore
from softswitch.rtp.jitter import STRETCHES, Due
from softswitch.rtp.packet import UNITS, UNITS_PER_MS, Bytes, Ints
from softswitch.rtp.playout import PLAY, RECOVER, REPAIRED, SILENCE
from softswitch.rtp.session import Sessions

_PER_SAMPLE = UNITS // 24000
"""Units (1/48000 s) in a sample of the bus (1/24000 s): 2."""

_FRAME_UNITS = FRAME * _PER_SAMPLE

_PASSES = 12
"""Most decisions for a slot in one tick: 12 packets of 2.5 ms are 30 ms; senders of shorter ones get gaps."""

_FORCED = 50 * UNITS_PER_MS
"""Excess of delay (50 ms) from which on a period is cut where no good place was found."""

_PATIENCE = 12
"""Frames searched for a good place before a cut is forced; noise, for example, has no such place."""

_SETTLING = 8
"""Ticks between two attempts to drop the rests of frames held in the store."""

_RECALLED = 3
"""Newest packets decoded again when playing resumes after a relay, to restore the decoder's state."""

_NO_KIND = -1
_ACTIONS, _DURATIONS = 4, 1 << 32
"""More than the actions of the jitter buffer, and than the units of any duration."""
_NOTHING: Pcm = np.zeros((1, 0), np.float32)
_ENDING: Pcm = np.array([[1.0, 0.0]], np.float32)


class RtpReceiver:
    """Decoder side of all RTP ports: carries out the decisions of the jitter buffer."""

    def __init__(self, formats: Formats, sessions: Sessions, ordinary: OrdinaryPackets | None = None) -> None:
        """Decode the packets of `sessions` with the codecs of `formats`, ordinary ones by `ordinary`."""
        self._formats, self._sessions, self._ordinary = formats, sessions, ordinary
        self._jitter = sessions.jitter
        self._store = PcmStore()
        self._kind = np.zeros(0, np.int64)
        self._patience = np.zeros(0, np.int64)
        self.concealed = np.zeros(0, np.int64)
        """Units concealed in each slot."""
        self.concealed_total = self.recovered_total = self.stretched_total = 0
        """Gaps concealed, gaps recovered from redundancy, pitch periods removed or inserted."""
        self._hiss = _noise(48000)
        """It repeats after 2 s, which is not heard."""
        self._hiss_at = 0
        self._ticks = 0
        self._turn = 0
        """Lowest slot that may be stretched next, in turn."""
        self._stretched = np.zeros(0, np.bool_)
        """Mask of the slots that are stretched in this tick."""

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""
        more = slots - len(self._kind)
        if more <= 0:
            return
        self._store.grow(slots)
        self._kind = np.pad(self._kind, (0, more), constant_values=_NO_KIND)
        self._patience = np.pad(self._patience, (0, more))
        self.concealed = np.pad(self.concealed, (0, more))
        self._stretched = np.pad(self._stretched, (0, more))
        if self._ordinary is not None:
            self._ordinary.playing, self._ordinary.patience = self._kind, self._patience
            self._ordinary.held, self._ordinary.lines = self._store.held, self._store.lines

    def open(self, slot: int) -> None:
        """Clear `slot`."""
        self._store.clear(slot)
        self._kind[slot] = _NO_KIND
        self.concealed[slot] = 0

    def kind(self, slot: int) -> int:
        """Return the kind of the packet that `slot` played last, -1 before the first."""
        return int(self._kind[slot])

    def suspend(self, slot: int, kind: int) -> None:
        """Play nothing in `slot` until :meth:`resume`; its packets are of `kind`."""
        self._kind[slot] = kind
        self._jitter.suspend(slot)
        self._store.clear(slot)

    def resume(self, slot: int, now: int) -> tuple[Pcm, float]:
        """Continue behind the newest packet of `slot`.

        The newest packets are decoded again, so that decoder, filter and concealment have the state they
        would have after playing them.

        Args:
            slot: row.
            now: units of the monotonic clock.

        Returns:
            Audio of these packets at the bus rate, ``(1, samples)``, perhaps empty, and their last sample
            before resampling, which the filter has not given out yet.
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
        jitter = self._jitter
        if jitter.begin_tick(now):
            held = self._store.held[slots] // FRAME * _FRAME_UNITS if self._store.held.any() else None
            if self._ordinary is None:
                jitter.review(slots, held, now)
            else:
                self._ordinary.review(slots, held, jitter.on_time(now))
        if jitter.stretching:
            self._choose(slots)
        if self._ordinary is None:
            self._pull_rest(slots, out, now)
            return
        stretched = self._stretched if jitter.stretching else None
        rest = self._ordinary.play(slots, stretched, out, settles=self._ticks % _SETTLING == 0)
        if stretched is not None:
            self.stretched_total += self._ordinary.take_stretched()
        if rest is None:
            return
        if len(rest) == len(slots):
            self._pull_rest(slots, out, now)
            return
        frames = np.empty((len(rest), FRAME), np.float32)
        self._pull_rest(slots[rest], frames, now)
        out[rest] = frames

    def _pull_rest(self, slots: Indices, out: Pcm, now: int) -> None:
        """Write the next 20 ms of each slot by its decisions, ordinary or not."""
        if not np.count_nonzero(self._kind[slots] != _NO_KIND) and self._is_asleep(slots):
            # As while calls ring, or their parties hold still from the beginning.
            out[:] = 0.0
            return
        held, stretching = self._store.held, self._jitter.stretching
        if not (stretching or np.count_nonzero(held)):
            self._pull_even(slots, out, now)
            return
        if not stretching:
            self._stretched[:] = False
        odd = (held[slots] > 0) | self._stretched[slots]
        rows, others = np.flatnonzero(~odd), np.flatnonzero(odd)
        if len(rows):
            frames = np.empty((len(rows), FRAME), np.float32)
            self._pull_even(slots[rows], frames, now)
            out[rows] = frames
        if len(others):
            out[others] = self._assemble(slots[others], now, None)

    def _is_asleep(self, slots: Indices) -> bool:
        """Return True if slots that have played nothing have nothing to play either, nor noise."""
        return self._jitter.sleeps(slots) and not np.count_nonzero(self._sessions.noise[slots])

    def _choose(self, slots: Indices) -> None:
        """Choose the slots to be stretched in this tick: at most STRETCHES, in turn."""
        self._stretched[:] = False
        waiting = slots[self._jitter.excess[slots] != 0]
        if len(waiting) > STRETCHES:
            waiting = np.sort(waiting)
            begin = int(np.searchsorted(waiting, self._turn))
            waiting = np.roll(waiting, -begin)[:STRETCHES]
            self._turn = int(waiting[-1]) + 1
        self._stretched[waiting] = True

    def _pull_even(self, slots: Indices, out: Pcm, now: int) -> None:
        """Write the next frame of slots without samples in the store; most play one packet of 20 ms."""
        due = self._jitter.pop(slots, now)
        if not due.plain and self._is_unheard(due, slots):
            out[:] = 0.0
            return
        # "Straight" slots decode one packet of exactly 20 ms with the codec they used before.
        straight = (due.duration == _FRAME_UNITS) & (due.kind == self._kind[slots])
        if not due.plain:
            straight &= due.action == PLAY
        kind = int(due.kind[0])
        if np.count_nonzero(straight & (due.kind == kind)) == len(straight):
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

    def _is_unheard(self, due: Due, slots: Indices) -> bool:
        """Return True if no slot has played a packet yet or is asked for comfort noise: all are silent."""
        return not (
            np.count_nonzero(self._kind[slots] != _NO_KIND)
            or np.count_nonzero(due.action != SILENCE)
            or np.count_nonzero(due.duration != _FRAME_UNITS)
            or np.count_nonzero(self._sessions.noise[slots])
        )

    def _play_straight(self, kind: int, due: Due, slots: Indices, out: Pcm) -> None:
        """Decode one packet of 20 ms for each slot directly into the bus."""
        payloads = self._jitter.payloads(due.place, int(due.length.max()))
        pcm, counts = self._formats.bank(kind).decode(payloads, due.length, slots)
        if not np.count_nonzero(counts != CODECS[kind].sample_rate // 50):
            self._formats.to_bus(kind, pcm, slots, out)
            return
        self._append(kind, pcm, counts, slots)
        self._store.take(slots, out)

    def _assemble(self, slots: Indices, now: int, due: Due | None) -> Pcm:
        """Assemble 20 ms from held samples and as many decisions of the jitter buffer as that takes."""
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
            # Packets of another duration than 20 ms leave a rest in any case, and need it.
            rows = np.flatnonzero(self._jitter.lasting(slots) == _FRAME_UNITS)
            store.settle(slots[rows], out[rows])
        return out

    def _render(self, due: Due, slots: Indices, *, may_stretch: bool) -> None:
        """Make the audio of one decision of the jitter buffer for each slot."""
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
        chosen = self._stretched[slots] if may_stretch else None
        if chosen is None or not chosen.any():
            self._append(kind, pcm, counts, slots)
            return
        self._append(kind, pcm[~chosen], counts[~chosen], slots[~chosen])
        self._stretched[slots] = False
        rows = np.flatnonzero(chosen)
        for count in _distinct(counts[rows]):
            some = rows[counts[rows] == count]
            self._append_stretched(kind, pcm[some, :count], slots[some])

    def _append(self, kind: int, pcm: Pcm, counts: Indices, slots: Indices) -> None:
        """Append the first `counts` samples of decoded rows to the store, at the bus rate."""
        for count in _distinct(counts):
            rows = np.flatnonzero(counts == count)
            if len(rows) == len(counts):
                self._store.append(slots, self._formats.to_bus(kind, pcm[:, :count], slots))
            else:
                self._store.append(slots[rows], self._formats.to_bus(kind, pcm[rows, :count], slots[rows]))

    def _append_stretched(self, kind: int, pcm: Pcm, slots: Indices) -> None:
        """Append rows with a pitch period removed or inserted, where a good place for it is found.

        The caller passes few rows, because the search is expensive.
        """
        sound = self._formats.to_bus(kind, pcm, slots)
        if sound.shape[1] < FRAME:
            self._store.append(slots, sound)
            return
        self._patience[slots] += 1
        excess = self._jitter.excess[slots]
        force = (np.abs(excess) > _FORCED) | (self._patience[slots] > _PATIENCE)
        for shorter in (True, False):
            for forced in (False, True):
                rows = np.flatnonzero(((excess > 0) == shorter) & (force == forced))
                if len(rows):
                    change = accelerate if shorter else expand
                    self._append_changed(slots[rows], sound.shape[1], *change(sound[rows], force=forced))

    def _append_changed(self, slots: Indices, before: int, sound: Pcm, counts: Indices) -> None:
        """Append stretched rows, and reduce their excess by the difference to `before` samples."""
        excess = self._jitter.excess[slots]
        gained = (before - counts) * _PER_SAMPLE
        changed = gained != 0
        self.stretched_total += int(np.count_nonzero(changed))
        self._patience[slots[changed]] = 0
        left = excess - gained
        # An excess that changed its sign is smaller than a period: it counts as done, or stretching would
        # alternate.
        self._jitter.excess[slots] = np.where(changed & (left * np.sign(excess) <= 0), 0, left)
        for count in _distinct(counts):
            rows = np.flatnonzero(counts == count)
            self._store.append(slots[rows], sound[rows, :count])

    def _fill(self, due: Due, rows: Indices, slots: Indices) -> None:
        """Fill gaps, those of the same kind, action and duration together."""
        # The first frame of an announced pause fades the last sound out, so that it ends without a click.
        ending = (due.action[rows] == SILENCE) & (due.run[rows] == 0)
        # One number for each combination: numpy's unique of rows takes longer than all the rest of a tick.
        keys = ((self._kind[slots[rows]] + 1) * _ACTIONS + due.action[rows]) * 2 + ending
        keys = keys * _DURATIONS + due.duration[rows]
        for key in _distinct(keys):
            alike = rows[keys == key]
            form, duration = divmod(key, _DURATIONS)
            form, end = divmod(form, 2)
            kind, action = form // _ACTIONS - 1, form % _ACTIONS
            if kind == _NO_KIND or (action == SILENCE and not end):
                self._store.append(slots[alike], self._quiet(slots[alike], duration // _PER_SAMPLE))
            else:
                self._conceal(due, alike, slots[alike], kind, duration)

    def _conceal(self, due: Due, rows: Indices, slots: Indices, kind: int, duration: int) -> None:
        """Recover or conceal rows of one kind and duration."""
        action = int(due.action[rows[0]])
        wanted = duration // _PER_SAMPLE
        # A leap or a silence may end between two samples of the codec, and G.722 has two for three of the
        # bus: a little more is made than the gap takes.
        samples = self._formats.whole(kind, wanted)
        bank = self._formats.bank(kind)
        gains = _ENDING if action == SILENCE else _fade(due.run[rows], duration)
        if action == RECOVER and (due.kind[rows] == kind).all():
            # It leads to the packet that follows, and has to end with the level of that.
            gains = None
            pcm = bank.recover(self._payloads(due, rows), due.length[rows], slots, samples)
            self.recovered_total += len(rows)
        else:
            pcm = bank.conceal(slots, samples)
            self.concealed_total += len(rows)
        if action != SILENCE:
            self.concealed[slots] += duration
        if gains is not None:
            pcm *= _ramps(gains, samples)
        self._store.append(slots, self._formats.to_bus(kind, pcm, slots)[:, :wanted])

    def _quiet(self, slots: Indices, samples: int) -> Pcm:
        """Return silence, or the comfort noise that the remote party requested."""
        noise = self._sessions.noise[slots]
        if not noise.any():
            return np.zeros((len(slots), samples), np.float32)
        # A step of 997, a prime, makes consecutive pieces of the noise unrelated.
        self._hiss_at = (self._hiss_at + 997) % (len(self._hiss) - samples)
        hissing: Pcm = noise[:, None] * self._hiss[self._hiss_at : self._hiss_at + samples]
        return hissing


def _noise(samples: int) -> Pcm:
    """Return uniform noise with a standard deviation of 1, ``(samples,)``.

    By the function of the generator splitmix64 (Steele, Lea and Flood 2014): numpy's generators are a library
    of 3 MB, and nothing else that runs always needs them.
    """
    state = np.arange(1, samples + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ state >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ state >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    state ^= state >> np.uint64(31)
    # 24 bits are as many as float32 holds; 2 * sqrt(3) is the width of such noise.
    even = (state >> np.uint64(40)).astype(np.float64) / 2**24 - 0.5
    return (even * 12**0.5).astype(np.float32)


def _distinct(numbers: Ints) -> list[int]:
    """Return the distinct numbers, sorted; for few rows much faster than numpy's unique."""
    return sorted(set(numbers.tolist()))


def _fade(run: Ints, duration: int) -> Pcm | None:
    """Return the gains at begin and end of concealment ``(n, 2)`` after `run`; None if all are 1.

    The gain is 1 in the first half of REPAIRED (60 ms), then falls linearly to 0 at REPAIRED (120 ms).
    """
    ends = np.stack((run, run + duration), axis=1)
    if ends.max(initial=0) <= REPAIRED // 2:
        return None
    gain: Pcm = np.clip((REPAIRED - ends) / (REPAIRED / 2), 0.0, 1.0).astype(np.float32)
    return gain


def _ramps(gains: Pcm, samples: int) -> Pcm:
    """Return linear ramps ``(n, samples)`` between the two gains of each row."""
    way = (np.arange(samples, dtype=np.float32) + 0.5) / max(samples, 1)
    ramp: Pcm = (gains[:, :1] + (gains[:, 1:] - gains[:, :1]) * way).astype(np.float32)
    return ramp
