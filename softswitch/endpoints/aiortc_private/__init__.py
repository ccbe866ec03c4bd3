"""Every member of aiortc and aioice outside their documented interface, each with its contract.

Nothing else in softswitch touches one. `tests/endpoints/test_aiortc_private.py` asserts every contract, and
`check_versions` refuses releases that the contracts were not read in.

`aioice.ice.StunProtocol`: takes its `Connection`; has `transport` and `transactions` (by transaction id), and
lets us set `local_candidate`; `datagram_received` parses STUN and hands what raises `ValueError` to
`Connection.data_received`.

`aioice.ice.server_reflexive_candidate`: `(protocol, server)` -> `(candidate, None)`.

`aioice.ice.relayed_candidate`: keywords -> `(candidate, protocol)`.

`Connection.get_component_candidates`: called once by `gather_candidates` with the addresses of the
interfaces; returns the local candidates.

`Connection.check_complete`: called whenever a pair was checked or nominated.

`Connection.data_received`, `protocol_lost`: called by `StunProtocol`.

`Connection._protocols`: all sockets; closed by `close`.

`Connection._check_list`: all pairs, with `protocol`, `remote_addr` and `local_candidate`.

`Connection._nominated`: the pair of component 1, absent until nominated.

`Connection._closing`: true from the beginning of `close` on.

`Connection.add_remote_candidate`: never waits for a candidate whose host is an address.

`Connection.close`: called by aioice itself when consent has expired.

`TurnTransport.__close_task`, `__inner_protocol`: the deallocation under way; the socket to the TURN server.

`RTCDtlsTransport(transport, certificates)`: asks of its transport only `_recv`, `_send` and `role`.

`RTCCertificate._create_ssl_context`: called once for each handshake with the SRTP profiles; returns its
pyOpenSSL context.

`RTCDtlsTransport._set_role`: client or server, before `start`.

`RTCDtlsTransport._role`, `_ssl`: the role; the pyOpenSSL connection, keyed once connected.

`RTCDtlsTransport._srtp_profiles`: profiles with `openssl_profile`, `key_length`, `salt_length` and
`get_key_and_salt`.

`RTCDtlsTransport._task`: the data pump, None before the handshake is complete.
"""

from importlib.metadata import version

from softswitch.endpoints.aiortc_private.connection import IceConnection
from softswitch.endpoints.aiortc_private.dtls import (
    DtlsAssociation,
    DtlsError,
    MediaKeys,
    certificate_fingerprint,
    export_keys,
    make_certificate,
)
from softswitch.endpoints.aiortc_private.options import IceOptions, IceOwner, NominatedPair
from softswitch.errors import UnavailableError

__all__ = [
    "KNOWN_VERSIONS",
    "DtlsAssociation",
    "DtlsError",
    "IceConnection",
    "IceOptions",
    "IceOwner",
    "MediaKeys",
    "NominatedPair",
    "certificate_fingerprint",
    "check_versions",
    "export_keys",
    "make_certificate",
]

KNOWN_VERSIONS = {"aiortc": ("1.16.",), "aioice": ("0.13.",)}
"""Releases whose private members were read."""


def check_versions() -> None:
    """Refuse releases of aiortc and aioice whose private members nobody has looked at.

    Raises:
        UnavailableError: one of the two is another release.
    """
    for package, known in KNOWN_VERSIONS.items():
        found = version(package)
        if not found.startswith(known):
            raise UnavailableError(f"{package} {found} is installed, {' or '.join(known)}x is needed")
