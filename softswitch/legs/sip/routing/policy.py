"""Which requests get a response: by address of a trunk, by password of a user, or by trusted network."""

from dataclasses import dataclass

from softswitch.call.interfaces import Source
from softswitch.legs.sip.accounts.phones import Phones
from softswitch.legs.sip.accounts.trunks import Trunks
from softswitch.legs.sip.addressing.own_addresses import OwnAddresses
from softswitch.legs.sip.counters import SipCounters
from softswitch.sip.security.bearer import VerifyToken, bearer_challenge, select_bearer
from softswitch.sip.security.challenge import Challenger, Verdict
from softswitch.sip.security.guard import Guard
from softswitch.sip.syntax.authentication import readable_credentials
from softswitch.sip.syntax.message import Request
from softswitch.sip.transaction.flow import Flow


@dataclass(frozen=True, slots=True)
class Admitted:
    """The agent handles the request."""

    source: Source
    name: str = ""
    """Name of the trunk or user."""
    seconds_left: float | None = None
    """How long the token of the user is valid yet; None: it has shown its password."""


@dataclass(frozen=True, slots=True)
class Challenged:
    """The request needs credentials: 401 with these values of WWW-Authenticate."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Denied:
    """The sender is known, and the request is refused."""

    code: int
    reason: str
    """Why, for the log; the response has the standard phrase of the code."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """No response, so that a scanner does not learn that a SIP server is here."""


Judgement = Admitted | Challenged | Denied | Ignored
IGNORED = Ignored()


class Policy:
    """Judge of requests that belong to no transaction or dialog of the agent."""

    def __init__(
        self,
        trunks: Trunks,
        phones: Phones,
        own: OwnAddresses,
        guard: Guard,
        challenger: Challenger,
        *,
        counters: SipCounters,
        token_server: str = "",
    ) -> None:
        """Prepare from the accounts.

        Args:
            trunks: trunks, known by their addresses.
            phones: users with passwords, and their devices, which may send OPTIONS.
            own: tells which hosts of URIs mean this switch.
            guard: limits and bans of unknown sources.
            challenger: makes and checks challenges.
            counters: of all SIP legs.
            token_server: URL of the server that gives tokens, for challenges; empty: it is not told.
        """
        self.verify: VerifyToken = lambda token: None
        """Tells what a token says."""
        self._token_server = token_server
        self._trunks = trunks
        self._phones = phones
        self._users = phones.by_name
        self._own = own
        self._guard = guard
        self._challenger = challenger
        self._counters = counters

    def judge(self, request: Request, flow: Flow, now: float) -> Judgement:
        """Judge a request by its source address and its credentials, at `now` in monotonic seconds."""
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
                return Denied(403, "REGISTER from a trusted network, but the settings have no [[user]]")
            return Admitted("anonymous")
        return self._ignore()

    def _claims_user(self, request: Request) -> bool:
        """Tell whether a request from a trunk's address is to be judged as that of a user."""
        if not self._users:
            return False
        if request.method == "REGISTER":
            return True
        return request.from_address.uri.user in self._users and self._own.is_ours(
            request.from_address.uri.host
        )

    def _is_about_a_call(self, request: Request) -> bool:
        """Tell whether a request belongs to a dialog, which the agent does not know (481)."""
        return "tag" in request.to_address.parameters or request.method == "CANCEL"

    def _is_for_us(self, request: Request, flow: Flow) -> bool:
        """Tell whether a request means this switch: by its page, a trusted network, or its Request-URI."""
        return (
            flow.transport in ("ws", "wss")
            or self._guard.trusts(flow.host)
            or self._own.is_ours(request.uri.host)
        )

    def _answer_if_near(self, request: Request, flow: Flow, now: float) -> Judgement:
        """Admit OPTIONS and requests of unknown dialogs from trusted networks and devices; ignore others."""
        if self._guard.trusts(flow.host) or self._phones.is_from_device(flow.host):
            return Admitted("anonymous")
        if self._users and self._is_for_us(request, flow) and self._is_about_a_call(request):
            return Admitted("anonymous") if self._guard.admits(flow.host, now) else self._ignore()
        return self._ignore()

    def _by_password(self, request: Request, flow: Flow, now: float) -> Judgement:
        if self._guard.is_banned(flow.host, now):
            self._guard.counters.banned += 1
            return IGNORED
        shown = readable_credentials(request.headers.getlist("Authorization"))
        given = self._challenger.select(shown)
        token = select_bearer(shown) if given is None else None
        if token is not None and self._takes_tokens(flow):
            return self._by_token(request, token, flow, now)
        if given is None:
            return self._challenge(flow, now)
        name = given.parameters.get("username", "") if given.parameters else ""
        user = self._users.get(name)
        verdict = self._challenger.check(
            given,
            request.method,
            (user.secret or None) if user else None,
            now,
            source=flow.host,
            transaction=f"{request.top_via.parameters.get('branch')} {request.call_id} {request.cseq}",
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

    def _by_token(self, request: Request, token: str, flow: Flow, now: float) -> Judgement:
        """Judge a request by the token of its user, who is named by To (REGISTER) or From."""
        # A forged source address has proved nothing: it is bounded, and never banned for a wrong token.
        if not self._guard.admits(flow.host, now):
            return IGNORED
        address = request.to_address if request.method == "REGISTER" else request.from_address
        name = address.uri.user or ""
        user, holder = self._users.get(name), self.verify(token)
        if holder is None or user is None or not _takes_token(user.tokens, flow) or name not in holder.users:
            self._counters.logins_failed += 1
            return self._challenge(flow, now, error="invalid_token", counted=True)
        self._counters.tokens += 1
        return self._as_user(request, name, holder.seconds_left)

    def _takes_tokens(self, flow: Flow) -> bool:
        """Tell whether any user may show a token over a flow: a challenge hides which users there are."""
        return any(_takes_token(ways, flow) for ways in self._phones.token_ways)

    def _as_user(self, request: Request, name: str, seconds_left: float | None = None) -> Judgement:
        if request.method == "REGISTER" and request.to_address.uri.user != name:
            return Denied(403, f"REGISTER of user {name!r} for another address of record")
        return Admitted("user", name, seconds_left)

    def _challenge(
        self, flow: Flow, now: float, *, stale: bool = False, error: str = "", counted: bool = False
    ) -> Judgement:
        if not counted and not self._guard.admits(flow.host, now):
            return IGNORED
        self._counters.challenges += 1
        values = self._challenger.challenge(now, stale=stale, source=flow.host)
        if self._takes_tokens(flow):
            # Behind the digests: some phones read the first challenge only.
            realm, server = self._challenger.realm, self._token_server
            values.append(bearer_challenge(realm, server=server, error=error))
        return Challenged(tuple(values))

    def _ignore(self) -> Ignored:
        self._guard.silence()
        self._counters.strangers += 1
        return IGNORED


def _takes_token(ways: str, flow: Flow) -> bool:
    return ways == "any" or (ways == "secure" and flow.transport in ("tls", "wss"))
