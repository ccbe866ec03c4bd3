"""The registrar's table: where the phones of each address of record are (RFC 3261 section 10.3).

A binding keeps the flow that its REGISTER came over, and calls go back the same way (RFC 5626 in spirit): a
phone behind NAT, or one on a WebSocket, can be reached on no other.
"""

import math
from dataclasses import dataclass, field, replace

from sipmessage import Address

from softswitch.sip.field_values import seconds
from softswitch.sip.flow import Flow
from softswitch.sip.message import Request, is_wildcard
from softswitch.sip.parameters import Parameters
from softswitch.sip.uri import same_uri

_HOUR = 3600
"""Below it a registrar may refuse an interval as too brief; also what a malformed one counts as."""


@dataclass(frozen=True, slots=True)
class Binding:
    """One way to reach an address of record."""

    aor: str
    contact: Address
    """What the phone calls itself: its URI is the Request-URI of what is sent there."""
    flow: Flow
    """What its REGISTER came over."""
    call_id: str
    cseq: int
    expires_at: float
    """Monotonic seconds."""
    updated_at: float
    user_agent: str = ""

    @property
    def q(self) -> float:
        """How much the phone wants to be called here, 0 to 1."""
        return _q(self.contact)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a REGISTER came to: code, reason and headers of its response, and what changed."""

    code: int
    reason: str
    headers: list[tuple[str, str]] = field(default_factory=list)
    added: tuple[Binding, ...] = ()
    """New ones, not those refreshed."""
    removed: tuple[Binding, ...] = ()
    """Taken back by the phone, or pushed out by newer ones."""


class _Refusal(Exception):
    def __init__(self, code: int, reason: str, *headers: tuple[str, str]) -> None:
        super().__init__(reason)
        self.outcome = Outcome(code, reason, list(headers))


class Bindings:
    """Keep bindings, bounded.

    Args:
        default_expires: Seconds, where a phone names none.
        min_expires: Seconds; less than it is answered 423.
        max_expires: Seconds; more than it is granted as this.
        most: Bindings of all addresses of record together; beyond it 503.
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

    def __len__(self) -> int:
        return self._count

    def update(
        self, aor: str, request: Request, flow: Flow, now: float, *, max_contacts: int = 10
    ) -> Outcome:
        """Do what a REGISTER asks, wholly or not at all.

        Args:
            aor: `uri.address_of_record` of its To, which belongs to whom has proved who he is.
            request: The REGISTER; without Contact it only asks.
            flow: What it came over.
            now: Monotonic seconds.
            max_contacts: Bindings of one address of record; beyond it the one longest without refresh goes.
        """
        self._drop_expired(aor, now)
        before = self._table.get(aor, [])
        try:
            after = self._changed(aor, before, request, flow, now)
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
            [("Contact", _written(one, now)) for one in after],
            added=tuple(one for one in after if not any(_same(one, other) for other in before)),
            removed=tuple(one for one in before if not any(_same(one, other) for other in after)),
        )

    def contacts(self, aor: str, now: float) -> list[Binding]:
        """Give the bindings of one address of record, the most wanted and then the latest refreshed first."""
        living = [one for one in self._table.get(aor, []) if one.expires_at > now]
        return sorted(living, key=lambda one: (-one.q, -one.updated_at))

    def everyone(self, now: float) -> dict[str, list[Binding]]:
        """Give all bindings by their address of record."""
        return {aor: living for aor in self._table if (living := self.contacts(aor, now))}

    def lost(self, connection: int) -> list[Binding]:
        """Drop and give the bindings of a connection that has closed: nobody listens there now (RFC 5626).

        0 is that of datagrams, which never closes.
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
        """Drop and give the bindings whose time is over; every few seconds is enough."""
        gone = [one for bindings in self._table.values() for one in bindings if one.expires_at <= now]
        for aor in {one.aor for one in gone}:
            self._drop_expired(aor, now)
        return gone

    def _drop_expired(self, aor: str, now: float) -> None:
        self._store(aor, [one for one in self._table.get(aor, []) if one.expires_at > now])

    def _store(self, aor: str, bindings: list[Binding]) -> None:
        self._count += len(bindings) - len(self._table.get(aor, []))
        if bindings:
            self._table[aor] = bindings
        else:
            self._table.pop(aor, None)

    def _changed(
        self, aor: str, before: list[Binding], request: Request, flow: Flow, now: float
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
                parameters = Parameters(dict(contact.parameters)).without("expires")
                after.append(
                    Binding(
                        aor=aor,
                        contact=replace(contact, parameters=parameters),
                        flow=flow,
                        call_id=request.call_id,
                        cseq=request.cseq.sequence,
                        expires_at=now + granted,
                        updated_at=now,
                        user_agent=(request.headers.get("User-Agent") or "")[:200],
                    )
                )
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


def _refuse_old(known: Binding, request: Request) -> None:
    """Refuse a REGISTER that was overtaken by a later one of the same phone (section 10.3, step 7)."""
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
