"""Table of a registrar: the contacts of each address of record (RFC 3261 section 10.3).

A binding keeps the flow of its REGISTER. Calls to it use that flow (the principle of RFC 5626) unless the
Contact is known to be right: a phone behind NAT or on a WebSocket can be reached on no other. Where proxies
added themselves to the Path of the REGISTER (RFC 3327), calls go by them.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from sipmessage import Address

from softswitch.sip.dialog.routing import as_uri, flow_for, next_hop
from softswitch.sip.syntax.field_values import parse_addresses, seconds
from softswitch.sip.syntax.grammar import MalformedError
from softswitch.sip.syntax.hosts import canonical, is_numeric
from softswitch.sip.syntax.message import Request, is_wildcard
from softswitch.sip.syntax.parameters import Parameters
from softswitch.sip.syntax.uri import URI, same_uri
from softswitch.sip.transaction.flow import Flow, Nat

_HOUR = 3600
"""Section 10.3 step 7: only intervals below one hour may be refused with 423.

A malformed interval counts as one hour (section 20.19)."""
MOST_PATH = 8
"""Most proxies in the Path of one REGISTER."""
MOST_PATH_CHARACTERS = 2048
"""Most characters of a Path: it is kept with each binding."""


@dataclass(frozen=True, slots=True)
class Binding:
    """One contact of an address of record."""

    aor: str
    """Address of record, as `uri.address_of_record` writes it."""
    contact: Address
    """Contact of the phone; its URI is the Request-URI of requests to the phone."""
    flow: Flow
    """Flow of its REGISTER."""
    target: Flow
    """Flow for calls to it: that of its REGISTER, or to its Contact (see `flow_of_contact`)."""
    call_id: str
    cseq: int
    expires_at: float
    """Monotonic seconds."""
    updated_at: float
    user_agent: str = ""
    path: tuple[Address, ...] = ()
    """Proxies that requests to the device go by, the nearest first: the Path of its REGISTER."""

    def route(self) -> tuple[URI, tuple[str, ...]]:
        """Return Request-URI and Route of a request to the device."""
        uri, routes, _ = next_hop(list(self.path), as_uri(self.contact.uri))
        return uri, tuple(str(one) for one in routes)

    @property
    def behind_nat(self) -> bool:
        """Whether keep-alives are needed: the flow is UDP, and its source is not the Contact's address."""
        contact = self.contact.uri
        return (
            self.target.transport == "udp"
            and not self.path  # the proxy keeps the flow to the device open
            and self.target == self.flow
            and self.target.pinned
            and (contact.host.strip("[]").lower(), contact.port or 5060) != (self.flow.host, self.flow.port)
        )

    @property
    def q(self) -> float:
        """Preference of the contact (q parameter), 0 to 1."""
        return _q(self.contact)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of a REGISTER: code, reason and headers of its response, and the changed bindings."""

    code: int
    reason: str
    headers: list[tuple[str, str]] = field(default_factory=list)
    added: tuple[Binding, ...] = ()
    """New bindings, without those refreshed."""
    removed: tuple[Binding, ...] = ()
    """Bindings removed by the phone, or displaced by newer ones."""


class _Refusal(Exception):
    def __init__(self, code: int, reason: str, *headers: tuple[str, str]) -> None:
        super().__init__(reason)
        self.outcome = Outcome(code, reason, list(headers))


class Bindings:
    """Bindings of one registrar.

    Args:
        default_expires: Lifetime in seconds for a REGISTER that names none.
        min_expires: Shortest lifetime in seconds; a shorter one is refused with 423.
        max_expires: Longest lifetime in seconds; a longer one is shortened to it.
        most: Bindings of all addresses of record together; a REGISTER beyond them is refused with 503.
    """

    def __init__(
        self,
        *,
        default_expires: int = 3600,
        min_expires: int = 60,
        max_expires: int = 7200,
        most: int = 20_000,
    ) -> None:
        self._default_expires = default_expires
        self._min_expires = min_expires
        self._max_expires = max(max_expires, default_expires)
        self._most = most
        self._table: dict[str, list[Binding]] = {}
        self._count = 0
        self._hosts: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._count

    def update(
        self,
        aor: str,
        request: Request,
        flow: Flow,
        now: float,
        *,
        max_contacts: int = 10,
        nat: Nat = "auto",
        most_s: int | None = None,
    ) -> Outcome:
        """Apply a REGISTER, either wholly or not at all.

        Args:
            aor: `uri.address_of_record` of its To; the caller has authenticated its owner.
            request: The REGISTER; one without Contact is a query.
            flow: Where it came from.
            now: Monotonic seconds.
            max_contacts: Most bindings of one address of record; the one refreshed longest ago is displaced.
            nat: Whether the device is behind a NAT.
            most_s: Longest lifetime of these bindings, seconds; None: that of all.
        """
        self._drop_expired(aor, now)
        before = self._table.get(aor, [])
        try:
            path = _path(request)

            def bind(contact: Address, expires_at: float) -> Binding:
                return Binding(
                    aor=aor,
                    contact=replace(
                        contact, parameters=Parameters(dict(contact.parameters)).without("expires")
                    ),
                    flow=flow,
                    target=flow_of_path(path, flow) if path else flow_of_contact(request, contact, flow, nat),
                    call_id=request.call_id,
                    cseq=request.cseq.sequence,
                    expires_at=expires_at if most_s is None else min(expires_at, now + most_s),
                    updated_at=now,
                    user_agent=(request.headers.get("User-Agent") or "")[:200],
                    path=path,
                )

            after = self._changed(before, request, now, bind)
            if len(after) > max_contacts:
                if len(request.contact) > max_contacts:
                    raise _Refusal(403, "Too Many Contacts")
                after = sorted(after, key=lambda one: one.updated_at)[-max_contacts:]
            if self._count - len(before) + len(after) > self._most:
                raise _Refusal(503, "Registrar Full", ("Retry-After", "60"))
        except _Refusal as refusal:
            return refusal.outcome
        self._store(aor, after)
        return Outcome(
            200,
            "OK",
            [
                *(("Contact", _written(one, now)) for one in after),
                *((("Path", ", ".join(map(str, path))),) if path else ()),
            ],
            added=tuple(one for one in after if not any(_same(one, other) for other in before)),
            removed=tuple(one for one in before if not any(_same(one, other) for other in after)),
        )

    def replace(self, aor: str, bindings: Sequence[Binding]) -> None:
        """Replace the bindings of an address of record by those that another registrar has."""
        if self._count - len(self._table.get(aor, [])) + len(bindings) <= self._most:
            self._store(aor, list(bindings))

    def contacts(self, aor: str, now: float) -> list[Binding]:
        """Return the bindings of an address of record, by preference and then by their last refresh."""
        living = [one for one in self._table.get(aor, []) if one.expires_at > now]
        return sorted(living, key=lambda one: (-one.q, -one.updated_at))

    def has_host(self, host: str) -> bool:
        """Return whether a REGISTER from an IP address is in force."""
        return host in self._hosts

    def all_bindings(self, now: float) -> dict[str, list[Binding]]:
        """Return all bindings by their address of record."""
        return {aor: living for aor in self._table if (living := self.contacts(aor, now))}

    def lost(self, connection: int) -> list[Binding]:
        """Remove and return the bindings of a connection that closed (RFC 5626).

        Connection 0 stands for UDP, which never closes.
        """
        if not connection:
            return []
        gone = [
            one for bindings in self._table.values() for one in bindings if one.flow.connection == connection
        ]
        for aor in {one.aor for one in gone}:
            self._store(aor, [one for one in self._table[aor] if one.flow.connection != connection])
        return gone

    def elapse(self, now: float) -> list[Binding]:
        """Remove and return the bindings that have expired; a call every few seconds is enough."""
        gone = [one for bindings in self._table.values() for one in bindings if one.expires_at <= now]
        for aor in {one.aor for one in gone}:
            self._drop_expired(aor, now)
        return gone

    def drop(self, aor: str) -> list[Binding]:
        """Remove and return all bindings of an address of record that does not exist any longer."""
        gone = self._table.get(aor, [])
        self._store(aor, [])
        return gone

    def _drop_expired(self, aor: str, now: float) -> None:
        self._store(aor, [one for one in self._table.get(aor, []) if one.expires_at > now])

    def _store(self, aor: str, bindings: list[Binding]) -> None:
        before = self._table.get(aor, [])
        self._count += len(bindings) - len(before)
        self._hosts.update(one.flow.host for one in bindings)
        for host in (one.flow.host for one in before):
            self._hosts[host] -= 1
            if not self._hosts[host]:
                del self._hosts[host]
        if bindings:
            self._table[aor] = bindings
        else:
            self._table.pop(aor, None)

    def _changed(
        self, before: list[Binding], request: Request, now: float, bind: Callable[[Address, float], Binding]
    ) -> list[Binding]:
        if is_wildcard(request):
            if request.expires != 0:
                raise _Refusal(400, "Contact * needs Expires 0")
            for one in before:
                _refuse_old(one, request)
            return []
        after = list(before)
        for contact in request.contact:
            if contact.uri.scheme not in {"sip", "sips"}:
                raise _Refusal(400, "Contact of another scheme")
            known = next((one for one in after if _is_at(one, contact)), None)
            if known is not None:
                _refuse_old(known, request)
                after.remove(known)
            granted = self._granted(contact, request)
            if granted:
                after.append(bind(contact, now + granted))
        return after

    def _granted(self, contact: Address, request: Request) -> int:
        if "expires" in contact.parameters:
            asked = seconds(contact.parameters["expires"])
            asked = _HOUR if asked is None else asked
        elif "Expires" in request.headers:
            asked = _HOUR if request.expires is None else request.expires
        else:
            asked = self._default_expires
        if 0 < asked < min(self._min_expires, _HOUR):
            raise _Refusal(423, "Interval Too Brief", ("Min-Expires", str(self._min_expires)))
        return min(asked, self._max_expires)


def flow_of_contact(request: Request, contact: Address, flow: Flow, nat: Nat) -> Flow:
    """Return the flow for calls to a device that registered.

    By `auto`, its Contact is followed where it names the source's host and the topmost Via shows no NAT: no
    rport was asked for, and the Via names the source (RFC 3261 section 18.2.2, RFC 3581 section 4). Otherwise
    calls follow the flow of the REGISTER, as over every connection and from behind every proxy.

    Args:
        request: The REGISTER.
        contact: One of its contacts.
        flow: Where it came from.
        nat: What the settings say of the device.
    """
    pinned = replace(flow, pinned=nat != "no")
    place = flow_for(contact.uri, flow)
    if flow.reliable or nat == "yes" or place.transport != "udp" or not is_numeric(place.host):
        return pinned
    if nat == "no":
        return replace(place, host=canonical(place.host))
    via = request.top_via
    direct = (
        len(request.via) == 1
        and "rport" not in via.parameters
        and canonical(via.host) == flow.host
        and canonical(place.host) == flow.host
    )
    return replace(pinned, port=place.port) if direct else pinned


def flow_of_path(path: tuple[Address, ...], flow: Flow) -> Flow:
    """Return the flow for calls by the proxies of a Path: to the first one, if its URI has an address.

    Otherwise calls follow the flow of the REGISTER: it came from that proxy.

    Args:
        path: Path of the REGISTER, not empty.
        flow: Where it came from.
    """
    place = flow_for(path[0].uri, flow)
    follows = flow.reliable or place.transport != flow.transport or not is_numeric(place.host)
    return flow if follows else replace(place, host=canonical(place.host))


def _path(request: Request) -> tuple[Address, ...]:
    """Return the Path of a REGISTER, the proxy nearest to the registrar first."""
    lines = request.headers.getlist("Path")
    try:
        path = tuple(parse_addresses(lines, "Path"))
    except MalformedError:
        raise _Refusal(400, "Malformed Path") from None
    if any(one.uri.scheme not in {"sip", "sips"} for one in path):
        raise _Refusal(400, "Malformed Path")
    if len(path) > MOST_PATH or sum(map(len, lines)) > MOST_PATH_CHARACTERS:
        raise _Refusal(403, "Path Too Long")
    return path


def _refuse_old(known: Binding, request: Request) -> None:
    """Refuse a REGISTER that arrives after a later one of the same phone (section 10.3 step 7)."""
    if known.call_id == request.call_id and request.cseq.sequence <= known.cseq:
        raise _Refusal(500, "REGISTER Out of Order")


def _is_at(known: Binding, contact: Address) -> bool:
    instance = contact.parameters.get("+sip.instance")
    if instance and instance == known.contact.parameters.get("+sip.instance"):
        return contact.parameters.get("reg-id") == known.contact.parameters.get("reg-id")
    return same_uri(known.contact.uri, contact.uri)


def _same(one: Binding, other: Binding) -> bool:
    return _is_at(one, other.contact)


def _q(contact: Address) -> float:
    try:
        value = float(contact.parameters.get("q") or 1.0)
    except ValueError:
        return 1.0
    return value if 0.0 <= value <= 1.0 else 1.0


def _written(binding: Binding, now: float) -> str:
    return f"{binding.contact};expires={math.ceil(binding.expires_at - now)}"
