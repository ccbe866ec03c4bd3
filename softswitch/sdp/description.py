"""Session descriptions (RFC 8866): parser into frozen dataclasses, and writer.

The parser accepts harmless errors of telephones and browsers: bare line feeds, a missing last line end,
missing ``s=`` and ``t=``, unknown line types, bytes that are not UTF-8. Meaningless lines, and descriptions
beyond the limits, raise an :class:`SdpError` that names the line.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from softswitch.errors import MalformedError

MAX_BYTES = 65536
"""Bytes of the largest description; a browser with five media sections writes about 12 kB."""
MAX_LINES = 2000
MAX_MEDIA = 32
MAX_FORMATS = 128
"""Most formats of one media line, which is the number of RTP payload types."""


class SdpError(MalformedError):
    """A description is malformed or contradicts itself."""


class Attribute(NamedTuple):
    """An ``a=`` line."""

    name: str
    value: str | None = None
    """None for a property attribute such as ``a=sendrecv``."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The ``o=`` line; its numbers are text, since they may exceed 64 bits (RFC 8866 section 5.2)."""

    username: str = "-"
    session: str = "0"
    version: str = "0"
    network: str = "IN"
    family: str = "IP4"
    address: str = "0.0.0.0"  # noqa: S104  (a value in a text, nothing is bound to it)


@dataclass(frozen=True, slots=True)
class Connection:
    """A ``c=`` line."""

    family: str
    """IP4 or IP6."""
    address: str
    """Address without TTL and count of multicast addresses."""


@dataclass(frozen=True, slots=True)
class Media:
    """A media section: an ``m=`` line and the lines that follow it."""

    kind: str
    """audio, video, application, image, ..."""
    port: int
    """0 to 65535; 0 in a rejected or bundled section."""
    protocol: str
    """Transport profile in capitals: RTP/AVP, UDP/TLS/RTP/SAVPF, ..."""
    formats: tuple[str, ...]
    """Payload types of RTP, in order of preference, each once."""
    connection: Connection | None = None
    attributes: tuple[Attribute, ...] = ()

    def all(self, name: str) -> Iterator[str]:
        """Yield the values of all attributes `name` in order, "" for one without a value."""
        return _values(self.attributes, name)

    def first(self, name: str) -> str | None:
        """Return the value of the first attribute `name`, None without one."""
        return next(self.all(name), None)

    def has(self, name: str) -> bool:
        """Return whether there is an attribute `name`."""
        return self.first(name) is not None


@dataclass(frozen=True, slots=True)
class Description:
    """A session description."""

    origin: Origin = Origin()
    name: str = "-"
    connection: Connection | None = None
    attributes: tuple[Attribute, ...] = ()
    media: tuple[Media, ...] = ()

    def all(self, name: str) -> Iterator[str]:
        """Yield the values of all session attributes `name` in order, "" for one without a value."""
        return _values(self.attributes, name)

    def first(self, name: str) -> str | None:
        """Return the value of the first session attribute `name`, None without one."""
        return next(self.all(name), None)

    def connection_of(self, media: Media) -> Connection | None:
        """Return the ``c=`` line of `media`, or else that of the session (RFC 8866 section 5.7)."""
        return media.connection or self.connection

    def text(self) -> str:
        """Return the description as text with CRLF line ends."""
        origin = self.origin
        numbers = f"{origin.session} {origin.version}"
        lines = [
            "v=0",
            f"o={origin.username} {numbers} {origin.network} {origin.family} {origin.address}",
            f"s={self.name or '-'}",
            *_connection_lines(self.connection),
            "t=0 0",
            *_attribute_lines(self.attributes),
        ]
        for media in self.media:
            lines.append(f"m={media.kind} {media.port} {media.protocol} {' '.join(media.formats)}")
            lines += _connection_lines(media.connection)
            lines += _attribute_lines(media.attributes)
        return "\r\n".join(lines) + "\r\n"


def parse(text: str | bytes) -> Description:
    """Parse a session description.

    Args:
        text: RFC 8866 text; bytes that are not UTF-8 are read as Latin-1.

    Raises:
        SdpError: It is too large, does not begin with ``v=0``, or a line of a known type is malformed.
    """
    lines = _lines(text)
    if not lines or lines[0][1].strip() != "v=0":
        raise SdpError("the description does not begin with v=0", field="sdp")
    reader = _Reader()
    for number, line in lines[1:]:
        reader.take(number, line)
    return reader.description()


def _lines(text: str | bytes) -> list[tuple[int, str]]:
    """Return the non-empty lines with their numbers; check the limits."""
    if len(text) > MAX_BYTES:
        raise SdpError(f"the description has {len(text)} bytes, more than {MAX_BYTES}", field="sdp")
    # splitlines() would also split at form feeds and U+2028, which are not line ends in SDP.
    lines = [line.rstrip("\r") for line in _decoded(text).split("\n")]
    if len(lines) > MAX_LINES:
        raise SdpError(f"the description has {len(lines)} lines, more than {MAX_LINES}", field="sdp")
    return [(number, line) for number, line in enumerate(lines, 1) if line.strip()]


def _decoded(text: str | bytes) -> str:
    if isinstance(text, str):
        return text
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1")


class _Reader:
    """Builder of a description from its lines."""

    def __init__(self) -> None:
        self._origin = Origin()
        self._name = "-"
        self._connection: Connection | None = None
        self._attributes: list[Attribute] = []
        self._media: list[_Section] = []

    def take(self, number: int, line: str) -> None:
        kind, separator, value = line.partition("=")
        if not separator or len(kind.strip()) != 1:
            raise SdpError(f"line {number} must have the form x=value", field="sdp")
        match kind.strip():
            case "o":
                self._origin = _origin(value)
            case "s":
                self._name = value.strip() or "-"
            case "c":
                self._take_connection(number, value)
            case "a":
                self._current_attributes().append(_attribute(value))
            case "m":
                if len(self._media) == MAX_MEDIA:
                    raise SdpError(f"line {number}: more than {MAX_MEDIA} media sections", field="sdp")
                self._media.append(_media(number, value))
            case "v":
                raise SdpError(f"line {number} begins a second description", field="sdp")

    def _take_connection(self, number: int, value: str) -> None:
        connection = _connection(number, value)
        if not self._media:
            self._connection = connection
        elif self._media[-1].connection is None:
            self._media[-1].connection = connection

    def _current_attributes(self) -> list[Attribute]:
        return self._media[-1].attributes if self._media else self._attributes

    def description(self) -> Description:
        return Description(
            origin=self._origin,
            name=self._name,
            connection=self._connection,
            attributes=tuple(self._attributes),
            media=tuple(section.media() for section in self._media),
        )


@dataclass(slots=True)
class _Section:
    """A media section while it is parsed."""

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    connection: Connection | None
    attributes: list[Attribute]

    def media(self) -> Media:
        return Media(
            self.kind, self.port, self.protocol, self.formats, self.connection, tuple(self.attributes)
        )


def _origin(value: str) -> Origin:
    """Parse ``o=``; nothing depends on it, so an incomplete one is not an error."""
    parts = value.split()
    return Origin(*parts[:6]) if len(parts) >= 6 else Origin()


def _connection(number: int, value: str) -> Connection:
    parts = value.split()
    if len(parts) < 3 or parts[0].upper() != "IN" or parts[1].upper() not in {"IP4", "IP6"}:
        raise SdpError(f"line {number}: c= must be 'IN IP4 address' or 'IN IP6 address'", field="sdp")
    return Connection(parts[1].upper(), parts[2].partition("/")[0])


def _attribute(value: str) -> Attribute:
    name, separator, rest = value.partition(":")
    return Attribute(name.strip(), rest.strip() if separator else None)


def _media(number: int, value: str) -> _Section:
    parts = value.split()
    if len(parts) < 4:
        raise SdpError(f"line {number}: m= must be 'kind port protocol formats'", field="sdp")
    port = parts[1].partition("/")[0]
    if not (port.isascii() and port.isdigit()) or len(port) > 5 or int(port) > 65535:
        raise SdpError(f"line {number}: the port of m= must be within 0-65535", field="sdp")
    formats = tuple(dict.fromkeys(parts[3:]))
    if len(formats) > MAX_FORMATS:
        raise SdpError(f"line {number}: m= has more than {MAX_FORMATS} formats", field="sdp")
    return _Section(parts[0].lower(), int(port), parts[2].upper(), formats, None, [])


def _values(attributes: tuple[Attribute, ...], name: str) -> Iterator[str]:
    return (attribute.value or "" for attribute in attributes if attribute.name == name)


def _connection_lines(connection: Connection | None) -> list[str]:
    return [f"c=IN {connection.family} {connection.address}"] if connection else []


def _attribute_lines(attributes: tuple[Attribute, ...]) -> list[str]:
    return [f"a={item.name}" if item.value is None else f"a={item.name}:{item.value}" for item in attributes]
