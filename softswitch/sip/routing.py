"""Where a request within a dialog goes to (RFC 3261 sections 8.1.2 and 12.2.1.1), NAT considered."""

import ipaddress
from dataclasses import replace

import sipmessage
from sipmessage import Address

from softswitch.sip.flow import DEFAULT_PORTS, Flow, TransportName
from softswitch.sip.parameters import UriParameters
from softswitch.sip.uri import URI


def next_hop(routes: list[Address], target: URI) -> tuple[URI, list[Address], URI]:
    """Return Request-URI, Route headers and the URI to send to, for a route set and a remote target.

    A first route without ``lr`` is a strict router: it wants itself in the Request-URI, and the target last
    in the Route (section 12.2.1.1).
    """
    if not routes:
        return target, [], target
    first = routes[0].uri
    if "lr" in first.parameters:
        return target, routes, _as_uri(first)
    strict = replace(_as_uri(first), headers="")
    return strict, [*routes[1:], Address(target)], strict


def flow_to(uri: URI, flow: Flow, *, behind_nat: bool = False) -> Flow:
    """Return the flow for a URI of the far end, given the flow that leads to it now.

    What the far end writes into Contact and Record-Route is followed as RFC 3261 says, except where it cannot
    be meant: from behind a NAT, from an address of a narrower or wider network than the one it is reached at
    (phones write the address of whichever interface they like), and ``.invalid`` names of WebSocket phones.

    Args:
        uri: Of the next hop.
        flow: The flow so far.
        behind_nat: The far end's Via did not name its source.
    """
    transport = _transport(uri, flow)
    host = uri.host.strip("[]").lower()
    port = uri.port or DEFAULT_PORTS[transport]
    if uri.scheme not in ("sip", "sips") or not host or host.endswith(".invalid"):
        return flow
    if (
        transport == flow.transport
        and flow.reliable
        and flow.connection
        and (behind_nat or host == flow.host)
    ):
        return flow
    if (transport, host, port) == (flow.transport, flow.host, flow.port):
        return flow
    if behind_nat or transport in ("ws", "wss") or flow.transport in ("ws", "wss"):
        return flow
    there, here = _reach(host), _reach(flow.host)
    if there is not None and here is not None and there != here:
        return flow
    return Flow(transport, host, port, 0, flow.local_host, flow.local_port)


def flow_for(uri: sipmessage.URI, like: Flow) -> Flow:
    """Return the flow for a URI that nobody is connected to yet (a redirection), from our end of `like`."""
    transport = _transport(uri, like)
    return Flow(
        transport,
        uri.host.strip("[]").lower(),
        uri.port or DEFAULT_PORTS[transport],
        0,
        like.local_host,
        like.local_port,
    )


def contact_uri(flow: Flow, user: str) -> URI:
    """Return the URI of our Contact for a flow."""
    host = f"[{flow.local_host}]" if ":" in flow.local_host else flow.local_host
    uri = URI("sip", host or "softswitch.invalid", user=user or None, port=flow.local_port or None)
    # RFC 7118 section 5: a WebSocket is "ws" in URIs, encrypted or not.
    transport = {"udp": "", "wss": "ws"}.get(flow.transport, flow.transport)
    return replace(uri, parameters=UriParameters({"transport": transport})) if transport else uri


def _transport(uri: sipmessage.URI, flow: Flow) -> TransportName:
    named = (uri.parameters.get("transport") or "").lower()
    if uri.scheme == "sips":
        return "wss" if named in ("ws", "wss") else "tls"
    match named:
        case "udp" | "tcp" | "tls" | "wss":
            return named
        case "ws":
            return "wss" if flow.transport == "wss" else "ws"
        case _:
            # A URI without transport means UDP, and yet those who connected by a stream stay on it.
            return flow.transport


def _reach(host: str) -> str | None:
    """Return how far an address reaches, None for a name."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if address.is_loopback:
        return "loopback"
    if address.is_unspecified or address.is_link_local:
        return "link"
    return "private" if address.is_private else "global"


def _as_uri(uri: object) -> URI:
    return uri if isinstance(uri, URI) else URI.parse(str(uri))
