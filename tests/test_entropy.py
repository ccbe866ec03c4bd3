"""Random bytes from a pool."""

from softswitch.entropy import EntropyPool


def test_pieces_of_any_size_have_their_size_and_are_never_the_same():
    pool = EntropyPool()
    pieces = [pool(size) for size in [8, 16, 0, 10, 5000, 4096] + [8] * 2000]
    assert [len(piece) for piece in pieces[:6]] == [8, 16, 0, 10, 5000, 4096]
    long = [piece for piece in pieces if len(piece) >= 8]
    assert len(set(long)) == len(long)
    assert EntropyPool()(16) != EntropyPool()(16)


def test_every_byte_is_given_out_once(monkeypatch):
    drawn = bytearray()

    def system(size: int) -> bytes:
        fresh = bytes((len(drawn) + place) // 16 % 256 for place in range(size))
        drawn.extend(fresh)
        return fresh

    monkeypatch.setattr("os.urandom", system)
    pool = EntropyPool()
    given = b"".join(pool(16) for _ in range(700))
    assert len(drawn) == 3 * 4096
    assert given == bytes(drawn[: len(given)])
