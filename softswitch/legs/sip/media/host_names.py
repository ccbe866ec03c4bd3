"""Host names in the c= lines of a peer's description, resolved before negotiation (RFC 8866 section 5.7)."""

from dataclasses import replace
from ipaddress import ip_address

from softswitch.egress.pin import Resolve
from softswitch.legs.sip.addressing.resolve import PEERS, UnresolvedError, is_address
from softswitch.sdp import Connection, Description, Media, NotAcceptableError

MOST_NAMES = 4
"""Most names of one description that are resolved."""
_NOWHERE = {"IP4": "0.0.0.0", "IP6": "::"}  # noqa: S104  (written in a description, not bound)
_VERSIONS = {"IP4": 4, "IP6": 6}


async def with_addresses(description: Description, resolve: Resolve) -> Description:
    """Return a description with an address in place of each host name in a c= line of its audio sections.

    Args:
        description: description of a peer.
        resolve: resolves a name within a deadline of its own.

    Raises:
        NotAcceptableError: a name has no address, DNS gives no answer in time, or there are too many names.
    """
    used = [one for one in description.media if _needs_address(one)]
    wanted = {(one.family, one.address) for media in used if (one := description.connection_of(media))}
    names = sorted(one for one in wanted if not is_address(one[1]))
    if not names:
        return description
    if len(names) > MOST_NAMES:
        raise NotAcceptableError(f"the c= lines have more than {MOST_NAMES} host names", field="sdp")
    found = {(family, name): await _address(family, name, resolve) for family, name in names}

    def plain(connection: Connection | None) -> Connection | None:
        if connection is None:
            return None
        address = found.get((connection.family, connection.address), connection.address)
        return replace(connection, address=address)

    return replace(
        description,
        connection=plain(description.connection),
        media=tuple(replace(one, connection=plain(one.connection)) for one in description.media),
    )


def _needs_address(media: Media) -> bool:
    """Tell whether audio of a section would be sent to its c= line; with ICE, its candidates count."""
    return media.kind == "audio" and media.port != 0 and not media.protocol.startswith("UDP/TLS/")


async def _address(family: str, name: str, resolve: Resolve) -> str:
    """Return the address of a name: one of the family that its line names, if there is one."""
    if name.lower().rstrip(".").endswith(".invalid"):
        # An address that is not known yet (RFC 6157 section 3.2).
        return _NOWHERE.get(family, _NOWHERE["IP4"])
    try:
        addresses = await resolve(name, PEERS)
    except UnresolvedError as error:
        raise NotAcceptableError(f"the host name in the c= line: {error}", field="sdp") from None
    wanted = _VERSIONS.get(family)
    return next((one for one in addresses if ip_address(one).version == wanted), addresses[0])
