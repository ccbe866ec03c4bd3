"""Choice of the media transport of a leg, by its options and the keying of the SDP."""

from softswitch.legs.sip.media.announced import Announced
from softswitch.legs.sip.media.dtls import DtlsTransport
from softswitch.legs.sip.media.ice import IceTransport
from softswitch.legs.sip.media.plain import PlainTransport
from softswitch.legs.sip.media.shared import MediaOptions, MediaOwner, SipMediaShared
from softswitch.legs.sip.media.transport import MediaTasks, MediaTransport
from softswitch.sdp import Keying


def allowed(options: MediaOptions) -> frozenset[Keying]:
    """Return the keyings that are accepted in an offer of the peer."""
    match options.srtp:
        case "off":
            return frozenset({"plain", "ice"})
        case "allowed":
            return frozenset({"plain", "sdes", "dtls", "ice"})
        case "sdes" | "dtls":
            return frozenset({"sdes", "dtls", "ice"})


def offered_keying(options: MediaOptions) -> Keying:
    """Return the keying of an offer that the switch makes."""
    if options.is_browser:
        return "ice"
    return options.srtp if options.srtp in {"sdes", "dtls"} else "plain"


def make_transport(
    shared: SipMediaShared,
    tasks: MediaTasks,
    owner: MediaOwner,
    *,
    port: int,
    options: MediaOptions,
    keying: Keying,
) -> MediaTransport:
    """Return a media transport for a keying."""
    if keying == "ice":
        return IceTransport(shared, tasks.spawn, owner, port, options.handshake_s)
    if keying == "dtls":
        return DtlsTransport(
            shared, tasks.spawn, owner, port=port, remote=options.remote, handshake_s=options.handshake_s
        )
    return PlainTransport(
        shared.engine,
        shared.sockets,
        shared.random,
        port=port,
        address=Announced(shared.address_toward, options.remote),
        keying=keying,
    )
