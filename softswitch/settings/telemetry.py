"""Settings of traces for OpenTelemetry."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta

from softswitch.settings.section import Section

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+: ?[\t -~]*")


class Telemetry(Section, frozen=True):
    """Traces of calls for an OpenTelemetry collector; needs the extra [otel]."""

    endpoint: str = ""
    """URL to which traces are sent by OTLP/HTTP, for example "http://127.0.0.1:4318/v1/traces"; it may be a
    private address. Empty: there are no traces."""
    headers: tuple[str, ...] = ()
    """Headers for the collector, "Name: value"; for a key, for example."""
    service_name: str = "softswitch"
    """Name of this switch in the traces."""
    sample: Annotated[float, Meta(ge=0, le=1)] = 1.0
    """Share of the calls that are traced, 0 to 1."""

    def __post_init__(self) -> None:
        """Check URL and headers."""
        parts = urlsplit(self.endpoint)
        if self.endpoint and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError("endpoint must be an http or https URL")
        for header in self.headers:
            if not _HEADER.fullmatch(header):
                raise ValueError("headers: each must be 'Name: value'")

    def pairs(self) -> dict[str, str]:
        """Return the headers by name."""
        split = (header.partition(":") for header in self.headers)
        return {name: value.strip() for name, _, value in split}
