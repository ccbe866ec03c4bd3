"""Who is answered: trunks by their address, users by their password, neighbours if there are no users."""

from dataclasses import dataclass

from softswitch.call.needs import Source
from softswitch.endpoints.sip.counters import SipCounters
from softswitch.endpoints.sip.own_addresses import OwnAddresses
from softswitch.endpoints.sip.phones import Phones
from softswitch.endpoints.sip.trunks import Trunks
from softswitch.sip.authentication import readable_credentials
from softswitch.sip.challenge import Challenger, Verdict
from softswitch.sip.flow import Flow
from softswitch.sip.guard import Guard
from softswitch.sip.message import Request


@dataclass(frozen=True, slots=True)
class Admitted:
    """The agent may have the request."""

    source: Source
    name: str = ""
    """Of the trunk or user."""


@dataclass(frozen=True, slots=True)
class Challenged:
    """Who asks must prove who he is: 401 with these values of WWW-Authenticate."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Denied:
    """Known, and refused."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """No answer at all: a scanner learns nothing, not even that somebody is here."""


Judgement = Admitted | Challenged | Denied | Ignored
IGNORED = Ignored()


class Policy:
    """Judges requests that belong to nothing the agent knows."""

    def __init__(
        self,
        trunks: Trunks,
        phones: Phones,
        own: OwnAddresses,
        guard: Guard,
        challenger: Challenger,
        counters: SipCounters,
    ) -> None:
        """Judge by what the settings say.

        Args:
            trunks: whose addresses are known.
            phones: whose users have passwords, and whose devices ask whether we are still there.
            own: which hosts of URIs mean us.
            guard: bounds what strangers may ask.
            challenger: asks for passwords and checks them.
            counters: of all telephones.
        """
        self._trunks = trunks
        self._phones = phones
        self._users = phones.by_name
        self._own = own
        self._guard = guard
        self._challenger = challenger
        self._counters = counters

    def judge(self, request: Request, flow: Flow, now: float) -> Judgement:
        """Judge a request by where it came from and what it proves."""
        trunk = self._trunks.of_source(flow.host, request.uri.user or "")
        if trunk is not None and not self._claims_user(request):
            return Admitted("trunk", trunk.name)
        if self._is_about_a_call(request) or (
            request.method == "OPTIONS" and not request.headers.getlist("Authorization")
        ):
            return self._answer_if_near(request, flow, now)
        if self._users and self._is_for_us(request, flow):
            return self._by_password(request, flow, now)
        if not self._users and self._guard.trusts(flow.host):
            if request.method == "REGISTER":
                return Denied(403, "No User Is Configured")
            return Admitted("anonymous")
        return self._ignore()

    def _claims_user(self, request: Request) -> bool:
        """Tell whether a request wants to be judged as that of a user though a trunk lives at its address."""
        if not self._users:
            return False
        if request.method == "REGISTER":
            return True
        return request.from_address.uri.user in self._users and self._own.is_ours(
            request.from_address.uri.host
        )

    def _is_about_a_call(self, request: Request) -> bool:
        """Tell whether a request belongs to a call, one that the agent does not know (481)."""
        return "tag" in request.to_address.parameters or request.method == "CANCEL"

    def _is_for_us(self, request: Request, flow: Flow) -> bool:
        """Tell whether a request means this switch: browsers that found our page and neighbours mean it."""
        return (
            flow.transport in ("ws", "wss")
            or self._guard.trusts(flow.host)
            or self._own.is_ours(request.uri.host)
        )

    def _answer_if_near(self, request: Request, flow: Flow, now: float) -> Judgement:
        """Let the agent say 481, or 200 to OPTIONS, to neighbours and phones; strangers hear nothing."""
        if self._guard.trusts(flow.host) or self._phones.is_from_device(flow.host):
            return Admitted("anonymous")
        if self._users and self._is_for_us(request, flow) and self._is_about_a_call(request):
            return Admitted("anonymous") if self._guard.admits(flow.host, now) else self._ignore()
        return self._ignore()

    def _by_password(self, request: Request, flow: Flow, now: float) -> Judgement:
        if self._guard.is_banned(flow.host, now):
            self._guard.counters.banned += 1
            return IGNORED
        given = self._challenger.ours(readable_credentials(request.headers.getlist("Authorization")))
        if given is None:
            return self._challenge(flow, now)
        name = given.parameters.get("username", "") if given.parameters else ""
        user = self._users.get(name)
        verdict = self._challenger.check(
            given,
            request.method,
            user.password if user else None,
            now,
            source=flow.host,
            transaction=f"{request.via[0].parameters.get('branch')} {request.call_id} {request.cseq}",
        )
        match verdict:
            case Verdict.OK:
                return self._as_user(request, name)
            case Verdict.STALE:
                return self._challenge(flow, now, stale=True)
            case Verdict.WRONG:
                self._counters.logins_failed += 1
                if self._guard.failed(flow.host, now):
                    return IGNORED
                return self._challenge(flow, now)

    def _as_user(self, request: Request, name: str) -> Judgement:
        if request.method == "REGISTER" and request.to_address.uri.user != name:
            return Denied(403, "Not Your Address")
        return Admitted("user", name)

    def _challenge(self, flow: Flow, now: float, *, stale: bool = False) -> Judgement:
        if not self._guard.admits(flow.host, now):
            return IGNORED
        self._counters.challenges += 1
        return Challenged(tuple(self._challenger.challenge(now, stale=stale, source=flow.host)))

    def _ignore(self) -> Ignored:
        self._guard.silence()
        self._counters.strangers += 1
        return IGNORED
