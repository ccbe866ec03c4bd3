"""Hold what an operator may set of telephones: SIP itself, trunks, users and rules."""

import ipaddress
import re
from collections.abc import Sequence
from typing import Annotated, Literal, cast

import msgspec
from msgspec import Meta

from softswitch.settings.section import Count, Port, Positive, Seconds, Section

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Engine = Literal["builtin", "pyvoip"]
Transport = Literal["", "udp", "tcp", "tls"]

CODECS = ("opus", "G722", "PCMU", "PCMA")
"""The codecs that a telephone may be offered, the best first."""

_SERVER = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>\d{1,5}))?(?:;transport=(?P<transport>udp|tcp|tls))?"
)
_NAME = re.compile(r"[A-Za-z0-9_.+*#-]{1,64}")
_TARGET = re.compile(
    r"echo|tone|webhook|webhook:https?://.+|user:.+|trunk:.+|room:.+|stream:wss?://.+|reject:[3-6]\d\d"
)


class Server(msgspec.Struct, frozen=True):
    """A SIP server as the settings name it."""

    host: str
    """Name or address, an IPv6 address without brackets."""
    port: int = 0
    """0: that of its SRV record, else 5060 (5061 with TLS)."""
    transport: Transport = ""
    """Empty: that of its SRV record, else UDP."""


def parse_server(text: str) -> Server:
    """Read `host`, `host:port` or `host:port;transport=udp|tcp|tls`.

    Raises:
        ValueError: if the text is anything else.
    """
    match = _SERVER.fullmatch(text)
    if not match or int(match["port"] or 0) > 65535:
        raise ValueError(f"server {text!r} is not host[:port][;transport=udp|tcp|tls]")
    transport = cast(Transport, match["transport"] or "")
    return Server(match["host"].strip("[]"), int(match["port"] or 0), transport)


class Sip(Section, frozen=True):
    """SIP signalling: where telephones and trunks reach the switch."""

    enabled: bool = True
    """Whether to speak SIP at all."""
    host: str = "127.0.0.1"
    """Address to listen on. Strangers get no answer; see allow, [[user]] and [[trunk]]."""
    port: Port = 5060
    """UDP and TCP port to listen on; 0 lets the system choose."""
    tls_port: Port = 0
    """TLS port to listen on, usually 5061; 0: none."""
    tls_cert: str = ""
    """File with the certificate chain for tls_port (PEM)."""
    tls_key: str = ""
    """File with the private key for tls_port (PEM)."""
    external_host: str = ""
    """Address or name by which the world reaches this host behind a NAT; written into Via and Contact."""
    domains: tuple[str, ...] = ()
    """Names that are ours besides our addresses: phones register at them."""
    realm: str = "softswitch"
    """Realm of the challenges that phones answer."""
    digests: tuple[Literal["MD5", "SHA-256", "SHA-512-256"], ...] = ("MD5",)
    """Algorithms of those challenges. Many phones give up where they see another one than MD5 (RFC 8760)."""
    allow: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    """Networks without limits; they may also call without a password, as long as no [[user]] is set."""
    engine: Engine = "builtin"
    """What speaks SIP for the local phone; pyvoip needs the extra [pyvoip]."""
    codecs: tuple[str, ...] = CODECS
    """Codecs for telephones, the best first."""
    srtp: Literal["off", "allowed", "required"] = "allowed"
    """Whether an incoming call may, or must, encrypt its media."""
    session_expires: Annotated[int, Meta(ge=90)] = 1800
    """Seconds after which a session without a sign of life is over (RFC 4028)."""
    accept_timeout_s: Seconds = 50.0
    """Time that an application has to accept an announced call, in seconds; then 480."""
    max_contacts: Positive = 10
    """Devices that one user may register, unless the user says otherwise."""
    register_expires: Positive = 3600
    """Longest registration that is granted, in seconds."""
    register_min_expires: Positive = 60
    """Shortest registration that is granted, in seconds; less is answered with 423."""
    requests_per_second: Positive = 20
    """Requests without proof in a second from one address outside allow; more is dropped and counted."""
    login_failures: Positive = 5
    """Wrong passwords from one address outside allow before it is banned."""
    ban_s: Seconds = 300.0
    """Time that such an address gets no answer, in seconds."""
    calls_per_second: Count = 0
    """New incoming calls in a second, all together; more is answered with 503. 0: no bound."""

    def __post_init__(self) -> None:
        """Refuse half a TLS configuration, unknown codecs and what is not a network."""
        if bool(self.tls_cert) != bool(self.tls_key):
            raise ValueError("tls_cert and tls_key go together")
        if self.tls_port and not self.tls_cert:
            raise ValueError("tls_port needs tls_cert and tls_key")
        if self.register_min_expires > self.register_expires:
            raise ValueError("register_min_expires is above register_expires")
        if not self.digests:
            raise ValueError("digests is empty")
        check_codecs(self.codecs)
        self.networks()

    def networks(self) -> tuple[Network, ...]:
        """Return the networks of `allow`, read."""
        return read_networks(self.allow)


class Trunk(Section, frozen=True):
    """A provider, or another exchange, that calls come from and go to."""

    name: str
    """Its name in rules, lists and metrics."""
    servers: tuple[str, ...]
    """Its servers, tried in this order: "host", "host:port", "host:port;transport=tcp" (udp, tcp, tls)."""
    username: str = ""
    """User part of our own address there; with a password, calls are answered with it when challenged."""
    password: str = ""
    """Password for its challenges."""
    auth_user: str = ""
    """User name in the proof, where it differs from username."""
    realm: str = ""
    """Realm that the password belongs to. Empty: any."""
    from_domain: str = ""
    """Domain of our own address. Empty: the server's."""
    register: bool = False
    """Whether to register there."""
    expires: Annotated[int, Meta(ge=30)] = 600
    """Seconds of life to ask for when registering."""
    allow: tuple[str, ...] = ()
    """Networks that its calls may come from besides the addresses of its servers."""
    caller_id: str = ""
    """Number that we show there when a call names none, or one that is not in caller_ids."""
    caller_ids: tuple[str, ...] = ()
    """Numbers that a call may show there. Empty: any."""
    prefixes: tuple[str, ...] = ()
    """How a number must begin to be dialled there, after rewriting. Empty: all."""
    rewrite: tuple[tuple[str, str], ...] = ()
    """Pairs of pattern and replacement, applied to what is dialled, for example [["^0", "+49"]]."""
    max_calls: Count = 0
    """Calls at once. 0: no bound."""
    calls_per_second: Count = 0
    """New calls in a second. 0: no bound."""
    codecs: tuple[str, ...] = ()
    """Codecs to offer, the best first. Empty: those of [sip]."""
    srtp: Literal["off", "sdes", "dtls"] = "off"
    """How our offers encrypt media."""
    dtmf: Literal["auto", "rfc4733", "info", "inband"] = "auto"
    """How digits are sent. auto: as RFC 4733 where the far end takes it, else INFO."""
    engine: Engine = "builtin"
    """What speaks SIP with it; pyvoip needs the extra [pyvoip] and carries 30 calls."""
    default: bool = False
    """Whether numbers go here that name no trunk. Nowhere set: the first trunk."""

    def __post_init__(self) -> None:
        """Refuse what could never work, naming the key."""
        check_name(self.name)
        if not self.servers:
            raise ValueError("servers is empty")
        for server in self.servers:
            parse_server(server)
        if self.register and not self.username:
            raise ValueError("register needs a username")
        for pattern, replacement in self.rewrite:
            check_pattern("rewrite", pattern, replacement)
        check_codecs(self.codecs)
        self.networks()

    def addresses(self) -> tuple[Server, ...]:
        """Return the servers, read."""
        return tuple(parse_server(server) for server in self.servers)

    def networks(self) -> tuple[Network, ...]:
        """Return the networks of `allow`, read."""
        return read_networks(self.allow)

    def rewritten(self, number: str) -> str:
        """Return what is dialled for `number`."""
        for pattern, replacement in self.rewrite:
            number = re.sub(pattern, replacement, number)
        return number


class User(Section, frozen=True):
    """A person or device that may register, be called and call."""

    name: str
    """The user part of its address, for example "alice" or "100"."""
    password: str
    """Password that its devices prove to know."""
    caller_id: str = ""
    """Number shown when it calls over a trunk. Empty: that of the trunk."""
    max_contacts: Positive = 5
    """Devices at once."""

    def __post_init__(self) -> None:
        """Refuse a name that is no user part and an empty password."""
        check_name(self.name)
        if not self.password:
            raise ValueError("password is empty")


class Route(Section, frozen=True):
    """A rule for calls that come in; the first that fits counts, before any webhook is asked."""

    match: str
    """Regular expression that the whole number or name dialled must fit."""
    to: str
    """What answers: "echo", "tone", "user:<name>", "trunk:<name>", "room:<id>", "stream:<ws url>", "webhook",
    "webhook:<url>" or "reject:<code>"."""
    trunk: str = ""
    """Only for calls that come from this trunk. A rule to a trunk needs it for calls from a trunk."""
    caller: str = ""
    """Only for callers that fit this regular expression wholly."""
    number: str = ""
    """What to dial on the trunk; groups of match as \\1. Empty: what the caller dialled."""
    status_callback: str = ""
    """URL that is told how a call connected by this rule went."""

    def __post_init__(self) -> None:
        """Refuse patterns that cannot be read and targets that do not exist."""
        check_pattern("match", self.match)
        check_pattern("number", self.match, self.number)
        check_pattern("caller", self.caller)
        if not _TARGET.fullmatch(self.to):
            raise ValueError(
                f"to: {self.to!r} is none of echo, tone, user:<name>, trunk:<name>, room:<id>, "
                "stream:<ws url>, webhook, webhook:<url>, reject:<code 300-699>"
            )
        if self.status_callback and not self.status_callback.startswith(("http://", "https://")):
            raise ValueError("status_callback must start with http:// or https://")

    def fits(self, callee: str, caller: str, trunk: str) -> bool:
        """Tell whether the rule is for this call."""
        return (
            self.trunk in ("", trunk)
            and bool(re.fullmatch(self.match, callee))
            and (not self.caller or bool(re.fullmatch(self.caller, caller)))
        )

    def dialled(self, callee: str) -> str:
        """Return what to dial for a callee that fits."""
        match = re.fullmatch(self.match, callee)
        return match.expand(self.number) if self.number and match else callee


def check_codecs(codecs: Sequence[str]) -> None:
    """Refuse names of codecs that telephones do not have."""
    known = {codec.lower() for codec in CODECS}
    for codec in codecs:
        if codec.lower() not in known:
            raise ValueError(f"codecs: {codec!r} is unknown, known are {', '.join(CODECS)}")


def check_name(name: str) -> None:
    """Refuse a name that could not stand in an address or in a metric."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"name {name!r} must have 1 to 64 letters, digits or any of _.+*#-")


def check_pattern(key: str, pattern: str, replacement: str = "") -> None:
    """Refuse a regular expression that cannot be read, and a replacement that names groups it has not."""
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{key}: {pattern!r} is no regular expression: {error}") from None
    try:
        # Matches the empty text whatever the pattern is, so that the replacement is read.
        re.sub(f"(?:{pattern})|$", replacement, "")
    except (re.error, IndexError) as error:
        raise ValueError(f"{key}: {error}") from None


def read_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Read a list `allow`.

    Raises:
        ValueError: if an entry is not a network.
    """
    try:
        return tuple(ipaddress.ip_network(text, strict=False) for text in texts)
    except ValueError as error:
        raise ValueError(f"allow: {error}") from None


def check_names(trunks: Sequence[Trunk], users: Sequence[User], routes: Sequence[Route]) -> None:
    """Refuse names given twice, two default trunks and rules that lead nowhere.

    Raises:
        ValueError: naming the table and the key.
    """
    names = {"trunk": [trunk.name for trunk in trunks], "user": [user.name for user in users]}
    for table, found in names.items():
        if twice := {name for name in found if found.count(name) > 1}:
            raise ValueError(f"[[{table}]] name {min(twice)!r} is given twice")
    if sum(trunk.default for trunk in trunks) > 1:
        raise ValueError("[[trunk]] default: only one trunk can be it")
    for number, route in enumerate(routes, 1):
        if route.trunk and route.trunk not in names["trunk"]:
            raise ValueError(f"[[route]] {number} trunk: there is no [[trunk]] named {route.trunk!r}")
        kind, _, name = route.to.partition(":")
        if kind in names and name not in names[kind]:
            raise ValueError(f"[[route]] {number} to: there is no [[{kind}]] named {name!r}")
