"""Every member of aiortc and aioice outside their documented interface, each with its contract.

Nothing else in softswitch touches one. `tests/legs/webrtc/test_aiortc_private.py` asserts every contract, and
`check_versions` refuses releases that the contracts were not read in.

`aioice.ice.StunProtocol`: takes its `Connection`; has `transport` and `transactions` (by transaction id), and
`local_candidate` can be set; `datagram_received` parses STUN and hands what raises `ValueError` to
`Connection.data_received`.

`aioice.ice.StunProtocol.request`: `(message, address)` -> `(response, address)`; gives up by itself.

`aioice.ice.relayed_candidate`: keywords -> `(candidate, protocol)`.

`Connection.get_component_candidates`: called once by `gather_candidates` with the addresses of the
interfaces; returns the local candidates.

`Connection.check_complete`: called whenever a pair was checked or nominated.

`Connection.data_received`, `protocol_lost`: called by `StunProtocol`.

`Connection._protocols`: all sockets; closed by `close`.

`Connection._check_list`: all pairs, with `protocol`, `remote_addr` and `local_candidate`.

`Connection._nominated`: the pair of component 1, absent until nominated.

`Connection._remote_candidates`, `_pair_remote_candidate`, `sort_check_list`: the peer's candidates; pairs one
with every socket that it is not paired with yet; orders the pairs, to be called afterwards.

`Connection._early_checks_done`: true once `connect` has made the first pairs.

`Connection._local_candidates`: what `local_candidates` returns.

`Connection._closing`: true from the beginning of `close` on.

`Connection.add_remote_candidate`: never waits for a candidate whose host is an address.

`Connection.query_consent`: run as `_query_consent_task` once a pair is nominated; `close` cancels the task.

`Connection.build_request`: a check of a pair, without integrity.

`Transaction.__timeout_delay`: patience with the first request, to be set before `run`;
`StunProtocol.transactions` must have the transaction meanwhile.

`TurnTransport.__close_task`, `__inner_protocol`: the deallocation under way; the socket to the TURN server.

`RTCDtlsTransport(transport, certificates)`: asks of its transport only `_recv`, `_send` and `role`.

`RTCCertificate._create_ssl_context`: called once for each handshake with the SRTP profiles; returns its
pyOpenSSL context.

`RTCDtlsTransport._set_role`: client or server, before `start`.

`RTCDtlsTransport._role`, `_ssl`: the role; the pyOpenSSL connection, keyed once connected.

`RTCDtlsTransport._srtp_profiles`: profiles with `openssl_profile`, `key_length`, `salt_length` and
`get_key_and_salt`.

`RTCDtlsTransport._task`: the data pump, None before the handshake is complete.

The libraries are imported at the first use of a name that needs them, or by `load`: they and what they bring
along (PyAV, cryptography) take 30 MB, which a switch without WebRTC has no use for.
"""

import importlib
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from softswitch.errors import UnavailableError
from softswitch.legs.webrtc.aiortc_private.keys import DtlsError, MediaKeys
from softswitch.legs.webrtc.aiortc_private.options import IceOptions, IceOwner, NominatedPair
from softswitch.libraries import open_ahead

if TYPE_CHECKING:
    from softswitch.legs.webrtc.aiortc_private.connection import IceConnection, candidate_line_of
    from softswitch.legs.webrtc.aiortc_private.dtls import (
        DtlsAssociation,
        certificate_fingerprint,
        export_keys,
        make_certificate,
    )

__all__ = [
    "KNOWN_VERSIONS",
    "DtlsAssociation",
    "DtlsError",
    "IceConnection",
    "IceOptions",
    "IceOwner",
    "MediaKeys",
    "NominatedPair",
    "candidate_line_of",
    "certificate_fingerprint",
    "check_versions",
    "export_keys",
    "load",
    "make_certificate",
]

KNOWN_VERSIONS = {"aiortc": ("1.16.",), "aioice": ("0.13.",)}
"""Releases whose private members were checked."""

_MODULES = dict.fromkeys(("IceConnection", "candidate_line_of"), "connection") | dict.fromkeys(
    ("DtlsAssociation", "certificate_fingerprint", "export_keys", "make_certificate"), "dtls"
)
"""Module of each name that needs the libraries."""


def __getattr__(name: str) -> Any:
    """Return a name of a module that needs the libraries (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def load() -> None:
    """Import the libraries, half a second of work; may run in a thread."""
    open_ahead("av", "cryptography", "pylibsrtp")
    for module in dict.fromkeys(_MODULES.values()):
        importlib.import_module(f"{__name__}.{module}")


def check_versions() -> None:
    """Refuse releases of aiortc and aioice whose private members were not checked.

    Raises:
        UnavailableError: one of the two is another release.
    """
    for package, known in KNOWN_VERSIONS.items():
        found = version(package)
        if not found.startswith(known):
            raise UnavailableError(f"{package} {found} is installed, {' or '.join(known)}x is needed")
