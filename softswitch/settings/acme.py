"""Settings of certificates that the switch gets by itself."""

import re
from typing import Annotated

from msgspec import Meta

from softswitch.settings.section import Port, Section

_DOMAIN = re.compile(r"(?=.{4,253}$)([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9-]{2,63}")
FOLDER = "acme"
"""Folder of certificate and account, inside [paths] data."""
LIVE = "live.pem"
"""File of the certificate chain and its key, in that folder."""


class Acme(Section, frozen=True):
    """Certificates from an ACME authority, such as Let's Encrypt; needs the extra [acme]."""

    domains: tuple[str, ...] = ()
    """Names of this switch that the certificate is for, the main one first. It serves HTTPS, WSS and SIP over
    TLS wherever tls_cert is empty. Empty: no certificates."""
    email: str = ""
    """Address that the authority may write to."""
    agree: bool = False
    """Whether you agree to the terms of the authority; needed."""
    directory: str = "https://acme-v02.api.letsencrypt.org/directory"
    """URL of the authority."""
    port: Port = 80
    """Port of a listener for the proof (HTTP-01), which the authority asks on port 80; 0: none. [http] port
    answers it too, for a proxy in front."""
    hook: str = ""
    """Program that publishes the proof elsewhere, called with add or remove, domain, token and proof."""
    renew_days: Annotated[float, Meta(ge=1, le=60)] = 30.0
    """Days before the end at which the certificate is renewed; a third of its time where that is less."""
    https: bool = True
    """Whether HTTP becomes HTTPS with it; false: only SIP uses it, behind a proxy for example."""

    def __post_init__(self) -> None:
        """Check names, URL and the agreement."""
        for domain in self.domains:
            if not _DOMAIN.fullmatch(domain):
                raise ValueError(
                    f"domains: {domain!r} must be a host name with a dot; addresses and * do not fit"
                )
        if self.domains and not self.agree:
            raise ValueError("agree must be true: the authority asks for the agreement to its terms")
        if not self.directory.startswith("https://"):
            raise ValueError("directory must start with https://")
