"""Decoding and encoding of feed ports, all ports of one format at once."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from softswitch.audio.bank import bank_for
from softswitch.audio.codec import G722
from softswitch.audio.g711 import DECODING, ENCODING, SILENCE, decode, encode
from softswitch.audio.pcm import BUS_RATE, FRAME, Bytes, Indices, Pcm, Pcm16, to_octets
from softswitch.audio.resample import Resampler
from softswitch.media.discards import DiscardCounter
from softswitch.media.feeds.catching_up import CatchingUp
from softswitch.media.feeds.feed_port import FeedFormat, FeedPort, FeedRows
from softswitch.media.feeds.feed_queue import BEHIND, DRIFTS, DRY, JUDGE, ROUSED, CompiledFifo, FeedTable
from softswitch.media.lateness import QUIET

_FLUSH_TICKS = 2
"""Ticks of silence decoded after the last audio, so that the resampling filter gives out its end."""


_NO_FRAMES: Bytes = np.zeros((0, 1), np.uint8)


class FeedBank:
    """Decoder, encoder and resamplers of all feed ports of one format."""

    def __init__(self, form: FeedFormat, slots: int) -> None:
        """Make a bank with `slots` rows to begin with."""
        self._law = {"pcmu": "PCMU", "pcma": "PCMA"}.get(form.codec, "")
        self._g722 = bank_for(G722, slots) if form.codec == "g722" else None
        rate = form.sample_rate
        self._up = Resampler(rate, BUS_RATE, slots) if rate != BUS_RATE else None
        self._down = Resampler(BUS_RATE, rate, slots) if rate != BUS_RATE else None
        self._frame_bytes = form.frame_bytes
        sample = bytes([SILENCE.get(self._law, 0)])
        self._silence = self._g722.silence if self._g722 else sample * form.frame_bytes
        self._silent_frame = np.frombuffer(self._silence, np.uint8).copy()
        # Fresh memory in every tick is cold memory.
        self._samples: Pcm = np.zeros((slots, rate // 50), np.float32)
        self._octets: Pcm16 = np.zeros((slots, rate // 50), np.int16)

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""
        for part in (self._up, self._down, self._g722):
            if part is not None:
                part.grow(slots)
        self._samples = np.zeros((slots, self._samples.shape[1]), np.float32)
        self._octets = np.zeros(self._samples.shape, np.int16)

    def reset(self, slot: int) -> None:
        """Clear the state of `slot`, whose port closed or is new."""
        if self._up is not None:
            self._up.reset(slot)
        if self._down is not None:
            self._down.reset(slot)
        if self._g722 is not None:
            self._g722.close(slot)

    def pull(
        self, ports: tuple[FeedPort, ...], slots: Indices, said: Pcm, now: float, catching_up: CatchingUp
    ) -> None:
        """Write the next 20 ms of each port.

        Args:
            ports: ports of this format.
            slots: slot of each port.
            said: ``(n, 480)``, overwritten.
            now: monotonic seconds.
            catching_up: discards audio of late ports.
        """
        frames: list[bytes] = []
        active: list[int] = []
        drifting: list[int] = []
        behind: list[int] = []
        for row, port in enumerate(ports):
            fifo = port.fifo
            data = fifo.take() if port.speaks else None
            if (lateness := port.lateness) is not None:
                if data is None or len(data) < self._frame_bytes:
                    lateness.ran_dry(now)
                else:
                    lateness.observe(now, fifo.received, fifo.level + len(data))
                if lateness.late or port.held is not None:
                    behind.append(row)
            if data is None:
                port.silent_ticks += 1
                if port.silent_ticks > _FLUSH_TICKS:
                    continue
                data = self._silence
            else:
                port.silent_ticks = 0
                if len(data) < self._frame_bytes:
                    data += self._silence[len(data) :]
                if fifo.correction:
                    drifting.append(row)
            active.append(row)
            frames.append(data)
        self._sound(_joined(frames), active, slots, said)
        self._mend(ports, behind, drifting, slots, said, now=now, catching_up=catching_up)

    def pull_compiled(
        self,
        table: FeedTable,
        part: slice,
        ports: tuple[FeedPort, ...],
        slots: Indices,
        said: Pcm,
        *,
        now: float,
        catching_up: CatchingUp,
    ) -> tuple[int, list[int]]:
        """Read the sockets of ports and write the next 20 ms of each, as :meth:`pull` does.

        Args:
            table: the queues of all ports of the group.
            part: the rows of the ports in it.
            ports: ports of this format.
            slots: slot of each port.
            said: ``(n, 480)``, overwritten.
            now: monotonic seconds.
            catching_up: discards audio of late ports.

        Returns:
            Bytes that queues had no room for, and the ports at whose socket the event loop has to look.
        """
        frames, active, refused, looks = table.pull(part.start, part.stop, now, self._silent_frame)
        behind: list[int] = []
        drifting: list[int] = []
        roused: list[int] = []
        for row, why in looks:
            port, fifo = ports[row], ports[row].fifo
            if (
                (lateness := port.lateness) is not None
                and why & (JUDGE | DRY)
                and isinstance(fifo, CompiledFifo)
            ):
                if why & JUDGE:
                    fifo.observe(lateness, now)
                else:
                    lateness.ran_dry(now)
                fifo.follow(lateness)
            if why & BEHIND or (lateness is not None and lateness.late):
                behind.append(row)
            if why & DRIFTS:
                drifting.append(row)
            if why & ROUSED:
                roused.append(port.id)
        self._sound(frames, active, slots, said)
        if behind or drifting:
            late = [row for row in behind if _is_behind(ports[row])]
            self._mend(ports, late, drifting, slots, said, now=now, catching_up=catching_up)
            for row in behind:
                fifo = ports[row].fifo
                if isinstance(fifo, CompiledFifo):
                    fifo.mark(behind=_is_behind(ports[row]))
        return refused, roused

    def _sound(self, frames: Bytes, active: list[int] | Indices, slots: Indices, said: Pcm) -> None:
        """Decode the frames of the active rows, and silence the others."""
        if len(active) == len(said):
            self._decode(frames, slots, said)
            return
        said.fill(0.0)
        if len(active):
            some = np.empty((len(active), said.shape[1]), np.float32)
            self._decode(frames, slots[active], some)
            said[active] = some

    def _mend(
        self,
        ports: tuple[FeedPort, ...],
        behind: list[int],
        drifting: list[int],
        slots: Indices,
        said: Pcm,
        *,
        now: float,
        catching_up: CatchingUp,
    ) -> None:
        """Make late rows punctual, and correct the clocks of those that drift."""
        if behind:
            catching_up.work(ports, behind, said, now, partial(self._decode_more, slots))
        for row in drifting:
            if ports[row].fifo.is_urgent or np.abs(said[row]).max() < QUIET:
                ports[row].fifo.apply_correction()

    def _decode_more(self, slots: Indices, rows: list[int], frames: list[bytes]) -> Pcm:
        """Decode one more frame for each of some rows, ``(n, 480)``."""
        pcm = np.empty((len(rows), FRAME), np.float32)
        self._decode(_joined(frames), slots[rows], pcm)
        return pcm

    def push(self, pcm: Pcm, slots: Indices) -> Bytes:
        """Encode frames of the bus, ``(n, 480)``, in the format of the ports, ``(n, octets)``.

        The next call overwrites what is returned.
        """
        if self._down is not None:
            pcm = self._down.process(pcm, slots, out=self._samples[: len(pcm)])
        return self._encode(pcm, slots)

    def _decode(self, frames: Bytes, slots: Indices, out: Pcm) -> None:
        if self._g722 is not None:
            lengths = np.full(len(frames), frames.shape[1], np.intp)
            pcm = self._g722.decode(frames, lengths, slots)[0]
        elif self._law:
            pcm = decode(DECODING[self._law], frames)
        else:
            pcm = self._samples[: len(frames)]
            np.copyto(pcm, frames.view("<i2"), casting="unsafe")
        if self._up is not None:
            self._up.process(pcm, slots, out=out)
        else:
            np.copyto(out, pcm)

    def _encode(self, pcm: Pcm, slots: Indices) -> Bytes:
        if self._g722 is not None:
            return self._g722.encode(pcm, slots)[0]
        if self._law:
            return encode(ENCODING[self._law], pcm)
        return to_octets(pcm, out=self._octets[: len(pcm)])


class Feeds:
    """The banks of all formats in use."""

    def __init__(self, discards: DiscardCounter) -> None:
        """Begin without banks; `discards` counts discarded audio of late sources."""
        self._catching_up = CatchingUp(discards)
        self._banks: dict[FeedFormat, FeedBank] = {}
        self._full: dict[FeedFormat, FeedRows] = {}
        """Groups whose ports all had a frame in the last tick; their `tail` is still to be set."""
        self._slots = 0
        self._refused = 0
        self._roused: list[int] = []

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""
        self._slots = slots
        for bank in self._banks.values():
            bank.grow(slots)

    def open(self, form: FeedFormat, slot: int) -> None:
        """Begin in `slot` with cleared state."""
        if form not in self._banks:
            self._banks[form] = FeedBank(form, self._slots)
        self._banks[form].reset(slot)

    def close(self, form: FeedFormat, slot: int) -> None:
        """Clear the state of `slot`."""
        self._banks[form].reset(slot)

    def pull(self, group: FeedRows, first: int, last: int, said: Pcm, now: float) -> None:
        """Write the next 20 ms of rows `first` up to `last` of the tick, which lie within `group`."""
        part = slice(first - group.first, last - group.first)
        bank = self._banks[group.format]
        whole = last - first == len(group.ports)
        ports, slots = (group.ports, group.slots) if whole else (group.ports[part], group.slots[part])
        if group.table is None:
            bank.pull(ports, slots, said[first:last], now, self._catching_up)
            return
        refused, roused = bank.pull_compiled(
            group.table, part, ports, slots, said[first:last], now=now, catching_up=self._catching_up
        )
        self._refused += refused
        self._roused += roused

    def read(self, group: FeedRows) -> None:
        """Read the sockets of a group before its next 20 ms, for what the event loop has to do."""
        if group.table is not None:
            refused, rows = group.table.read()
            self._refused += refused
            self._roused += [group.ports[row].id for row in rows]

    def take_refused(self) -> int:
        """Return the bytes read from sockets since the last call for which queues had no room."""
        refused, self._refused = self._refused, 0
        return refused

    def take_roused(self) -> list[int]:
        """Return the ports since the last call at whose sockets the event loop has to look."""
        roused, self._roused = self._roused, []
        return roused

    def due(self, group: FeedRows, sounding: NDArray[np.bool_]) -> list[int]:
        """Return the rows of `group` to which a frame is due: their mix sounds, or ended one tick ago.

        Args:
            group: feed ports of one format.
            sounding: by row of the tick, :attr:`TickState.sounding`.
        """
        before, all_sound = self._full.pop(group.format, None), bool(sounding[group.rows].all())
        if all_sound and group.all_listen:
            # As most often: what is the same for all ports is done without looking at each.
            if before is not None and before is not group:
                _set_tails(before)
            self._full[group.format] = group
            return group.all_rows
        if before is not None:
            _set_tails(before)
        return listening(group, sounding.tolist())

    def push(self, group: FeedRows, rows: list[int], heard: Pcm) -> list[tuple[int, bytes]]:
        """Encode the given rows of the tick, which lie within `group`.

        Returns:
            (port, frame) of each row to which the tick does not send by itself.
        """
        ports: Sequence[FeedPort] = group.ports
        if len(rows) == len(ports):
            pcm, slots = heard[group.rows], group.slots
        else:
            ports = [ports[row - group.first] for row in rows]
            pcm, slots = heard[rows], np.array([port.slot for port in ports], np.intp)
        data = self._banks[group.format].push(pcm, slots)
        if group.table is not None:
            data = np.ascontiguousarray(data)
            some = None if len(rows) == len(group.ports) else [row - group.first for row in rows]
            left, roused = group.table.push(some, data)
            if roused:
                self._roused += [ports[place].id for place in roused]
            return [(ports[place].id, data[place].tobytes()) for place in left]
        for port in ports:
            port.sent_frames += 1
        return [(port.id, frame.tobytes()) for port, frame in zip(ports, data, strict=True)]


def _joined(frames: list[bytes]) -> Bytes:
    """Return frames of one length as rows."""
    return np.frombuffer(b"".join(frames), np.uint8).reshape(len(frames), -1) if frames else _NO_FRAMES


def _is_behind(port: FeedPort) -> bool:
    return port.held is not None or (port.lateness is not None and port.lateness.late > 0)


def _set_tails(group: FeedRows) -> None:
    for port in group.ports:
        port.tail = 1


def listening(group: FeedRows, sounding: list[bool]) -> list[int]:
    """Return the rows of `group` to which a frame is due: their mix sounds, or ended one tick ago.

    Args:
        group: feed ports of one format.
        sounding: by row of the tick, :attr:`TickState.sounding`.
    """
    rows = []
    for row, port in enumerate(group.ports, group.first):
        if not port.listens:
            continue
        if sounding[row]:
            port.tail = 1
        elif port.tail:
            port.tail -= 1
        else:
            continue
        rows.append(row)
    return rows
