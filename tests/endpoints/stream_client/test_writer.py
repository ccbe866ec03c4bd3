"""Messages written to a transport: masked, bounded, control never dropped."""

from collections.abc import Iterator

from softswitch.endpoints.stream_client.writer import MOST_CONTROL, MaskedWriter


class Transport:
    """A connection whose network takes what the test lets it."""

    def __init__(self) -> None:
        self.data = b""
        self.stuck = 0
        self.closing = False

    def is_closing(self) -> bool:
        return self.closing

    def get_write_buffer_size(self) -> int:
        return self.stuck

    def write(self, data: bytes) -> None:
        self.data += data


class Setting:
    def __init__(self, **options) -> None:
        self.transport = Transport()
        self.dropped = 0
        self.writer = MaskedWriter(self.transport, self._drop, **options)  # type: ignore[arg-type]

    def _drop(self) -> None:
        self.dropped += 1

    def messages(self) -> list[bytes]:
        return list(unmasked(self.transport.data))


def frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the first byte and the payload of each of a client's frames."""
    at = 0
    while at < len(data):
        first = data[at]
        assert data[at + 1] & 0x80
        length, at = data[at + 1] & 0x7F, at + 2
        if length >= 126:
            size = 2 if length == 126 else 8
            length, at = int.from_bytes(data[at : at + size]), at + size
        key, at = data[at : at + 4], at + 4
        yield first, bytes(byte ^ key[place % 4] for place, byte in enumerate(data[at : at + length]))
        at += length


def unmasked(data: bytes) -> Iterator[bytes]:
    """Yield the payloads of a client's text frames, and make sure that they are all there is."""
    for first, payload in frames(data):
        assert first == 0x81
        yield payload


def test_messages_of_any_length_arrive_as_they_were():
    setting = Setting()
    sent = [b"x" * size for size in (0, 1, 2, 3, 4, 125, 126, 1500, 65535, 65536)]
    for message in sent:
        setting.writer.media(message)
    assert setting.messages() == sent


def test_every_frame_has_a_key_of_its_own():
    setting = Setting()
    for _ in range(5000):
        setting.writer.control(b"abcd")
    keys = {setting.transport.data[at + 2 : at + 6] for at in range(0, len(setting.transport.data), 10)}
    assert len(keys) > 4990


def test_oldest_media_gives_way_and_control_does_not():
    setting = Setting(most_media=3)
    setting.transport.stuck = 1 << 20
    setting.writer.control(b"mark")
    for number in range(5):
        setting.writer.media(b"%d" % number)
    setting.writer.control(b"stop")
    assert setting.dropped == 2
    setting.transport.stuck = 0
    setting.writer.flush()
    assert setting.messages() == [b"mark", b"2", b"3", b"4", b"stop"]


def test_what_waits_goes_first():
    setting = Setting()
    setting.transport.stuck = 1 << 20
    setting.writer.media(b"first")
    setting.transport.stuck = 0
    setting.writer.media(b"second")
    assert setting.messages() == [b"first", b"second"]


def test_service_that_asks_and_never_reads_is_given_up():
    setting = Setting()
    setting.transport.stuck = 1 << 20
    assert all(setting.writer.control(b"mark") for _ in range(MOST_CONTROL))
    assert not setting.writer.control(b"mark")


def test_nothing_is_written_after_the_end_or_to_a_closing_transport():
    setting = Setting()
    setting.transport.closing = True
    setting.writer.media(b"a")
    setting.transport.closing = False
    setting.writer.end()
    setting.writer.media(b"b")
    setting.writer.control(b"c")
    assert setting.messages() == []
    assert setting.writer.waiting == 0
