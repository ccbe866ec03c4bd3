"""RTP as bytes and rows, made by hand."""

import struct

import numpy as np

from tests.conftest import data_path

STRIDE = 1536


def packet(
    sequence=1, timestamp=0, payload=b"\xff" * 160, *, payload_type=0, ssrc=1, marker=False, first=0x80
) -> bytes:
    """Return one RTP packet; numbers may be larger than their fields."""
    second = payload_type | (0x80 if marker else 0)
    head = struct.pack(">BBHII", first, second, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc)
    return bytes(head + payload)


def rows(datagrams) -> tuple[np.ndarray, np.ndarray]:
    """Return datagrams as the engine has them: rows of a wide array, and lengths."""
    data = np.full((len(datagrams), STRIDE), 0xAA, np.uint8)
    for row, datagram in zip(data, datagrams, strict=True):
        row[: len(datagram)] = np.frombuffer(datagram, np.uint8)
    return data, np.array([len(datagram) for datagram in datagrams], np.intp)


def datagrams(packets) -> list[tuple[int, bytes]]:
    """Return (slot, datagram) of what a plane gives out."""
    data, lengths, slots = packets
    return [
        (int(slot), row[:length].tobytes()) for row, length, slot in zip(data, lengths, slots, strict=True)
    ]


def case(path: str) -> bytes:
    """Return a file of the tests' data."""
    return data_path(*path.split("/")).read_bytes()


def case_names(folder: str) -> list[str]:
    """Return the files of a folder of the tests' data; of third-party data that is absent, its folder alone.

    A test with no parameters would be skipped; with the folder as its only one, its marker leaves it out.
    """
    files = sorted(f"{folder}/{file.name}" for file in data_path(*folder.split("/")).glob("*.bin"))
    return files or [folder]
