"""Settings of telephones: SIP, trunks, users and routes."""

import ipaddress
import re
from collections.abc import Sequence
from typing import Annotated, Literal, cast

import msgspec
from msgspec import Meta

from softswitch.callees import CALLEES
from softswitch.settings.agent import Agent
from softswitch.settings.mail import check_mailbox
from softswitch.settings.queue import Queue
from softswitch.settings.section import Count, Port, Positive, Seconds, Section

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Engine = Literal["builtin", "pyvoip"]
Transport = Literal["", "udp", "tcp", "tls"]

CODECS = ("opus", "G722", "PCMU", "PCMA")
"""Codecs for telephones, the preferred one first."""

_SERVER = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>\d{1,5}))?(?:;transport=(?P<transport>udp|tcp|tls))?"
)
_HASH_DIGITS = {"MD5": 32, "SHA-256": 64, "SHA-512-256": 64}
"""Algorithms of ha1, and how many hexadecimal digits their hashes have."""
_NAME = re.compile(r"[A-Za-z0-9_.+*#-]{1,64}")
_TARGET = re.compile(
    "|".join(
        (*(callee.pattern for callee in CALLEES), r"trunk:.+|webhook|webhook:https?://.+|reject:[3-6]\d\d")
    )
)


MOST_FURTHER = 15
"""Most destinations of a route besides the first one."""


class Server(msgspec.Struct, frozen=True):
    """Address of a SIP server."""

    host: str
    """Host name or address, IPv6 without brackets."""
    port: int = 0
    """0 means the port of the SRV record, else 5060 (5061 with TLS)."""
    transport: Transport = ""
    """Empty means the transport of the SRV record, else UDP."""


def parse_server(text: str) -> Server:
    """Parse `host`, `host:port` or `host:port;transport=udp|tcp|tls`.

    Raises:
        ValueError: The text has another form.
    """
    match = _SERVER.fullmatch(text)
    if not match or int(match["port"] or 0) > 65535:
        raise ValueError(f"server {text!r} must be host[:port][;transport=udp|tcp|tls]")
    transport = cast(Transport, match["transport"] or "")
    return Server(match["host"].strip("[]"), int(match["port"] or 0), transport)


class Sip(Section, frozen=True):
    """SIP signalling of telephones and trunks."""

    enabled: bool = True
    """Whether to listen for SIP."""
    host: str = "127.0.0.1"
    """Address to listen on; "0.0.0.0": all of IPv4, "::": all of both families. Unknown senders get no
    response; see allow, [[user]] and [[trunk]]."""
    port: Port = 5060
    """UDP and TCP port to listen on; 0 lets the system choose."""
    tls_port: Port = 0
    """TLS port to listen on, usually 5061; 0 means none."""
    tls_cert: str = ""
    """File with the certificate chain for tls_port (PEM)."""
    tls_key: str = ""
    """File with the private key for tls_port (PEM)."""
    external_host: str = ""
    """Public address or name of this host behind a NAT, for Via and Contact."""
    domains: tuple[str, ...] = ()
    """Domains of this switch, at which phones register, besides its addresses."""
    realm: str = "softswitch"
    """Realm of digest authentication."""
    token_server: str = ""
    """URL of the server that gives devices their tokens, told to those that may show one (RFC 8898)."""
    digests: tuple[Literal["MD5", "SHA-256", "SHA-512-256"], ...] = ("MD5",)
    """Algorithms of digest authentication. Many phones fail if another one than MD5 is offered (RFC 8760)."""
    allow: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    """Networks without rate limits and bans. Without any [[user]], they may also call without a password."""
    engine: Engine = "builtin"
    """SIP engine of the local phone; pyvoip needs the extra [pyvoip]."""
    codecs: tuple[str, ...] = CODECS
    """Codecs for telephones, the preferred one first."""
    srtp: Literal["off", "allowed", "required"] = "allowed"
    """Whether incoming calls may or must encrypt their media."""
    session_expires: Annotated[int, Meta(ge=90)] = 1800
    """Session interval in seconds (RFC 4028): a call ends if its peer has vanished for that long."""
    accept_timeout_s: Seconds = 50.0
    """Seconds in which an application must accept an announced call; then 480."""
    max_contacts: Positive = 10
    """Most devices that one user may register; max_contacts of the user overrides it."""
    keep_alive_s: Seconds = 25.0
    """Seconds between keep-alives (OPTIONS) to devices behind a NAT over UDP. 0 means none."""
    register_expires: Positive = 3600
    """Longest registration to grant, in seconds."""
    register_min_expires: Positive = 60
    """Shortest registration to grant, in seconds; a shorter one is refused with 423."""
    requests_per_second: Positive = 20
    """Most unauthenticated requests per second from one address outside allow; more are dropped."""
    login_failures: Positive = 5
    """Failed logins from one address outside allow that cause a ban."""
    ban_s: Seconds = 300.0
    """Duration of a ban in seconds."""
    calls_per_second: Count = 0
    """Most new incoming calls per second; more are refused with 503. 0 means no limit."""
    follow_redirects: Annotated[int, Meta(ge=0, le=10)] = 3
    """Most redirections (3xx, such as the call forwarding of a phone) that one outgoing call follows, within
    the rules of the trunk or user that redirects. 0: none; the reject event has the target."""
    trace: bool = False
    """Whether the SIP messages of each call are kept with its record, without passwords and keys: for the
    ladder diagram of a call and GET /calls/{id}/sip. Not those of the engine pyvoip."""
    hep: str = ""
    """host:port of a Homer server (HEP version 3 over UDP, usually port 9060) that gets a copy of each SIP
    message, without passwords and keys. Empty: none. A private address needs [egress] allow."""
    hep_id: Annotated[int, Meta(ge=0, le=4294967295)] = 2001
    """Number of this switch at Homer."""
    hep_key: str = ""
    """Key of this switch at Homer."""

    def __post_init__(self) -> None:
        """Check TLS files, registration times, codecs and networks."""
        if bool(self.tls_cert) != bool(self.tls_key):
            raise ValueError("tls_cert and tls_key must be set together")
        if self.tls_port and not self.tls_cert:
            raise ValueError("tls_port needs tls_cert and tls_key")
        if self.register_min_expires > self.register_expires:
            raise ValueError("register_min_expires must not exceed register_expires")
        if not self.digests:
            raise ValueError("digests must name at least one algorithm")
        check_codecs(self.codecs)
        self.networks()
        if self.hep:
            self.hep_server()

    def hep_server(self) -> tuple[str, int]:
        """Return host and port of `hep`."""
        match = _SERVER.fullmatch(self.hep)
        if not match or match["transport"] or not 0 < int(match["port"] or 0) < 65536:
            raise ValueError("hep must be host:port")
        return match["host"].strip("[]"), int(match["port"])

    def networks(self) -> tuple[Network, ...]:
        """Return the networks of `allow`."""
        return read_networks(self.allow)


class Trunk(Section, frozen=True):
    """A trunk: a SIP provider or another exchange, for incoming and outgoing calls."""

    name: str
    """Name in routes, lists and metrics."""
    servers: tuple[str, ...]
    """Servers in order of preference: "host", "host:port", "host:port;transport=tcp" (udp, tcp, tls)."""
    username: str = ""
    """User part of the switch's address at the trunk, and user name for challenges."""
    password: str = ""
    """Password for challenges."""
    auth_user: str = ""
    """User name for challenges, if it differs from username."""
    realm: str = ""
    """Only realm to send the password to. Empty: any."""
    from_domain: str = ""
    """Domain of the switch's address at the trunk. Empty: that of the server."""
    register: bool = False
    """Whether to register at the trunk."""
    expires: Annotated[int, Meta(ge=30)] = 600
    """Lifetime of the registration to ask for, in seconds."""
    allow: tuple[str, ...] = ()
    """Further networks that incoming calls of the trunk may come from, besides its servers."""
    caller_id: str = ""
    """Caller number for calls without a number, or with one that is not in caller_ids."""
    caller_ids: tuple[str, ...] = ()
    """Caller numbers that calls may use. Empty: any."""
    prefixes: tuple[str, ...] = ()
    """Prefixes of the numbers that may be dialled, after rewriting. Empty: all."""
    rewrite: tuple[tuple[str, str], ...] = ()
    """Pairs of pattern and replacement for dialled numbers, for example [["^0", "+49"]]."""
    max_calls: Count = 0
    """Most simultaneous calls. 0 means no limit."""
    calls_per_second: Count = 0
    """Most new calls per second. 0 means no limit."""
    codecs: tuple[str, ...] = ()
    """Codecs to offer, the preferred one first. Empty: those of [sip]."""
    srtp: Literal["off", "sdes", "dtls"] = "off"
    """Encryption of media in offers to the trunk."""
    dtmf: Literal["auto", "rfc4733", "info", "inband"] = "auto"
    """How DTMF digits are sent. auto: RFC 4733 if the peer supports it, else INFO."""
    engine: Engine = "builtin"
    """SIP engine of the trunk; pyvoip needs the extra [pyvoip] and carries at most 30 calls."""
    default: bool = False
    """Whether this trunk takes numbers without a trunk. If no trunk has it, the first one does."""
    required: bool = False
    """Whether /readyz fails while this trunk, and all other trunks with required, are down."""

    def __post_init__(self) -> None:
        """Check the values; errors name the key."""
        check_name(self.name)
        if not self.servers:
            raise ValueError("servers must name at least one server")
        for server in self.servers:
            parse_server(server)
        if self.register and not self.username:
            raise ValueError("register needs username")
        for pattern, replacement in self.rewrite:
            check_pattern("rewrite", pattern, replacement)
        check_codecs(self.codecs)
        self.networks()

    def addresses(self) -> tuple[Server, ...]:
        """Return the servers."""
        return tuple(parse_server(server) for server in self.servers)

    def networks(self) -> tuple[Network, ...]:
        """Return the networks of `allow`."""
        return read_networks(self.allow)

    def rewritten(self, number: str) -> str:
        """Return `number` after the rewrite rules."""
        for pattern, replacement in self.rewrite:
            number = re.sub(pattern, replacement, number)
        return number


class User(Section, frozen=True):
    """A user whose devices may register, call and be called."""

    name: str
    """User part of the address, for example "alice" or "100"."""
    password: str = ""
    """Password of its devices. Empty: ha1 says it, or only tokens are taken."""
    ha1: dict[str, str] = {}  # noqa: RUF012  (msgspec copies it)
    """Hashes of name:realm:password by algorithm (MD5, SHA-256, SHA-512-256) in place of the password, with
    the realm of [sip]."""
    caller_id: str = ""
    """Caller number for calls over a trunk. Empty: that of the trunk."""
    email: str = ""
    """Address that gets the messages of voicemail by e-mail, see [mail]. Empty: none does."""
    max_contacts: Positive = 5
    """Most registered devices."""
    nat: Literal["auto", "yes", "no"] = "auto"
    """Where requests to its devices go. yes: to the source of their REGISTER; no: to their Contact; auto: to
    the Contact where no sign of a NAT is seen, else to the source."""
    tokens: Literal["off", "secure", "any"] = "off"
    """Whether its devices may show a JSON web token of [auth] in place of the password (RFC 8898). secure:
    over TLS and WSS only; any: over every transport, behind a proxy that ends TLS for example."""

    def __post_init__(self) -> None:
        """Check name and password."""
        check_name(self.name)
        if self.email:
            check_mailbox(self.email, "email")
        if self.password and self.ha1:
            raise ValueError("password must be empty where ha1 is set in its place")
        if not (self.password or self.ha1 or self.tokens != "off"):
            raise ValueError("password must not be empty, unless ha1 or tokens is set in its place")
        for algorithm, value in self.ha1.items():
            if algorithm not in _HASH_DIGITS:
                raise ValueError(f"ha1: {algorithm!r} is unknown, known are {', '.join(_HASH_DIGITS)}")
            if not re.fullmatch(f"[0-9a-f]{{{_HASH_DIGITS[algorithm]}}}", value):
                raise ValueError(
                    f"ha1: {algorithm} must have {_HASH_DIGITS[algorithm]} hexadecimal digits in lower case"
                )

    @property
    def secret(self) -> str | dict[str, str]:
        """Return the password, or the hashes in its place by algorithm."""
        return self.password or self.ha1


class Route(Section, frozen=True):
    """A route for incoming calls; the first one that matches applies, before any webhook."""

    match: str
    """Regular expression for the whole dialled number or name."""
    to: str
    """Destination: "echo", "tone", "user:<name>", "trunk:<name>", "room:<id>", "agent:<name>",
    "queue:<name>", "voicemail:<user>", "stream:<ws url>", "webhook", "webhook:<url>", "reject:<code>" or,
    for calls of users, "supervise:<call or user>" with \\1 for a group of match."""
    trunk: str = ""
    """Only for calls from this trunk. A route from a trunk to a trunk requires it."""
    caller: str = ""
    """Only for callers whose whole number or name matches this regular expression."""
    number: str = ""
    """Number to dial on the trunk; \\1 stands for a group of match. Empty: what the caller dialled."""
    status_callback: str = ""
    """URL that gets the status of calls connected by this route."""
    account: str = ""
    """Account that owns the calls of this route, and the room they join. Empty: the administrator."""
    name: str = ""
    """Name for /admin/routes and logs. Empty: it has none."""
    order: Count = 0
    """Place among the routes, lower ones first; equal ones stay as they are written, those of the file
    before those of /admin/routes."""
    protocol: str = "wavix"
    """Protocol of the service of to = "stream:<ws url>": wavix, twilio, telnyx, vonage, plivo, exotel,
    jambonz, audiohook or raw."""
    further: tuple[str, ...] = ()
    """Further destinations, at most 15: those of to, but for webhook, stream and reject."""
    strategy: Literal["sequential", "parallel"] = "sequential"
    """How to and further are called: one after the other until one answers, or all together."""
    ring_s: Annotated[float, Meta(ge=1, le=600)] = 60.0
    """Longest ringing, seconds: of each destination, with parallel of all together."""

    def __post_init__(self) -> None:
        """Check patterns, destinations and URL."""
        if self.name:
            check_name(self.name)
        check_pattern("match", self.match)
        check_pattern("number", self.match, self.number)
        check_pattern("caller", self.caller)
        if self.to.startswith("supervise:"):
            check_pattern("to", self.match, self.to)
        if not _TARGET.fullmatch(self.to):
            raise ValueError(
                f"to: {self.to!r} must be one of {', '.join(map(str, CALLEES))}, trunk:<name>, "
                "webhook, webhook:<url>, reject:<code 300-699>"
            )
        self._check_further()
        if self.status_callback and not self.status_callback.startswith(("http://", "https://")):
            raise ValueError("status_callback must start with http:// or https://")
        if self.protocol != "wavix" and not self.to.startswith("stream:"):
            raise ValueError('protocol: only a route with to = "stream:<ws url>" has a protocol')

    def _check_further(self) -> None:
        if len(self.further) > MOST_FURTHER:
            raise ValueError(f"further: at most {MOST_FURTHER} destinations are allowed")
        for target in (self.to, *self.further) if self.further else ():
            if not _TARGET.fullmatch(target) or target.startswith(("webhook", "stream:", "reject:")):
                raise ValueError(
                    f"further: {target!r} cannot be one of several destinations: "
                    "webhook, stream and reject stand alone"
                )

    @property
    def targets(self) -> tuple[str, ...]:
        """All destinations."""
        return (self.to, *self.further)

    def fits(self, callee: str, caller: str, trunk: str) -> bool:
        """Return whether the route matches a call."""
        return (
            self.trunk in ("", trunk)
            and bool(re.fullmatch(self.match, callee))
            and (not self.caller or bool(re.fullmatch(self.caller, caller)))
        )

    def supervised(self, callee: str) -> str:
        """Return the call or user that a callee that matches asks to supervise."""
        match = re.fullmatch(self.match, callee)
        wanted = self.to.partition(":")[2]
        return match.expand(wanted) if match else wanted

    def dialled(self, callee: str) -> str:
        """Return the number to dial for a callee that matches."""
        match = re.fullmatch(self.match, callee)
        return match.expand(self.number) if self.number and match else callee


def check_codecs(codecs: Sequence[str]) -> None:
    """Check that codecs are known.

    Raises:
        ValueError: A codec is unknown.
    """
    known = {codec.lower() for codec in CODECS}
    for codec in codecs:
        if codec.lower() not in known:
            raise ValueError(f"codecs: {codec!r} is unknown, known are {', '.join(CODECS)}")


def check_name(name: str) -> None:
    """Check that a name can stand in an address and in a metric."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"name {name!r} must have 1 to 64 letters, digits or any of _.+*#-")


def check_pattern(key: str, pattern: str, replacement: str = "") -> None:
    """Check a regular expression, and that its replacement names existing groups."""
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{key}: {pattern!r} is not a regular expression: {error}") from None
    try:
        # The alternative matches the empty text, so that the replacement is expanded and its groups are
        # checked.
        re.sub(f"(?:{pattern})|$", replacement, "")
    except (re.error, IndexError) as error:
        raise ValueError(f"{key}: {error}") from None


def read_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Parse the networks of `allow`.

    Raises:
        ValueError: An entry is not a network.
    """
    try:
        return tuple(ipaddress.ip_network(text, strict=False) for text in texts)
    except ValueError as error:
        raise ValueError(f"allow: {error}") from None


def check_names(
    trunks: Sequence[Trunk],
    users: Sequence[User],
    routes: Sequence[Route],
    agents: Sequence[Agent] = (),
    queues: Sequence[Queue] = (),
) -> None:
    """Check for duplicate names, several default trunks, and routes to unknown destinations.

    Raises:
        ValueError: A check failed; the error names the table and the key.
    """
    names = {
        "trunk": [trunk.name for trunk in trunks],
        "user": [user.name for user in users],
        "agent": [agent.name for agent in agents],
        "queue": [queue.name for queue in queues],
        "route": [route.name for route in routes if route.name],
    }
    for table, found in names.items():
        if twice := {name for name in found if found.count(name) > 1}:
            raise ValueError(f"[[{table}]] name {min(twice)!r} is given twice")
    if sum(trunk.default for trunk in trunks) > 1:
        raise ValueError("[[trunk]] default: only one trunk may be the default")
    for number, route in enumerate(routes, 1):
        if route.trunk and route.trunk not in names["trunk"]:
            raise ValueError(f"[[route]] {number} trunk: there is no [[trunk]] named {route.trunk!r}")
        for key, target in (("to", route.to), *(("further", one) for one in route.further)):
            kind, _, name = target.partition(":")
            if kind in names and name not in names[kind]:
                raise ValueError(f"[[route]] {number} {key}: there is no [[{kind}]] named {name!r}")
    for queue in queues:
        if missing := [user for user in queue.users if user not in names["user"]]:
            raise ValueError(f"[[queue]] {queue.name} users: there is no [[user]] named {missing[0]!r}")
        kind, _, name = queue.timeout_to.partition(":")
        if kind in names and name not in names[kind]:
            raise ValueError(f"[[queue]] {queue.name} timeout_to: there is no [[{kind}]] named {name!r}")
