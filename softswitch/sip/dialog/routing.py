"""Next hop and flow of requests within a dialog, also behind NAT (RFC 3261 sections 8.1.2 and 12.2.1.1)."""

import ipaddress
from dataclasses import replace

import sipmessage
from sipmessage import Address

from softswitch.sip.syntax.parameters import UriParameters
from softswitch.sip.syntax.uri import URI
from softswitch.sip.transaction.flow import DEFAULT_PORTS, Flow, TransportName


def next_hop(routes: list[Address], target: URI) -> tuple[URI, list[Address], URI]:
    """Return Request-URI, Route headers and the URI to send to, for a route set and a remote target.

    A first route without ``lr`` is a strict router: its URI becomes the Request-URI, and the remote target
    the last Route (section 12.2.1.1).
    """
    if not routes:
        return target, [], target
    first = routes[0].uri
    if "lr" in first.parameters:
        return target, routes, as_uri(first)
    strict = replace(as_uri(first), headers="")
    return strict, [*routes[1:], Address(target)], strict


def flow_to(uri: URI, flow: Flow, *, behind_nat: bool = False) -> Flow:
    """Return the flow for a URI that a peer sent, given the flow on which the peer is reached now.

    Contact and Record-Route are followed as RFC 3261 says, except where their address cannot be right: behind
    a NAT, for an address of another scope (private, global) than the one that works now, since phones write
    the address of any of their interfaces, and for the ``.invalid`` names of WebSocket phones. Then the flow
    stays.

    Args:
        uri: URI of the next hop.
        flow: Flow on which the peer is reached now.
        behind_nat: Whether the peer's Via did not name its source.
    """
    transport = _transport(uri, flow)
    host = _host(uri)
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
    named, current = _scope(host), _scope(flow.host)
    if named is not None and current is not None and named != current:
        return flow
    return Flow(transport, host, port, 0, flow.local_host, flow.local_port)


def flow_for(uri: sipmessage.URI, like: Flow) -> Flow:
    """Return the flow for a URI by itself, with the local address of `like`."""
    transport = _transport(uri, like)
    return Flow(
        transport,
        _host(uri),
        uri.port or DEFAULT_PORTS[transport],
        0,
        like.local_host,
        like.local_port,
    )


def contact_uri(flow: Flow, user: str) -> URI:
    """Return the URI of the agent's Contact for a flow."""
    host = f"[{flow.local_host}]" if ":" in flow.local_host else flow.local_host
    uri = URI("sip", host or "softswitch.invalid", user=user or None, port=flow.local_port or None)
    # RFC 7118 section 5: the transport of a URI is "ws" for WebSockets with and without TLS.
    transport = {"udp": "", "wss": "ws"}.get(flow.transport, flow.transport)
    return replace(uri, parameters=UriParameters({"transport": transport})) if transport else uri


def _host(uri: sipmessage.URI) -> str:
    """Return the host that a URI leads to: ``maddr``, or else its own (RFC 3261 section 19.1.1)."""
    return (uri.parameters.get("maddr") or uri.host).strip("[]").lower()


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
            # RFC 3263 says UDP for a URI without transport, but a peer that connected by a stream expects it.
            return flow.transport


def _scope(host: str) -> str | None:
    """Return the scope of an address, None for a host name."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if address.is_loopback:
        return "loopback"
    if address.is_unspecified or address.is_link_local:
        return "link"
    return "private" if address.is_private else "global"


def as_uri(uri: object) -> URI:
    """Return a URI that sipmessage has parsed as one of this package."""
    return uri if isinstance(uri, URI) else URI.parse(str(uri))
