"""Sections of the settings: one frozen struct for each section of the file.

The text under a field is its documentation, from which `make sample` writes `softswitch.toml`. An empty text
or list means "not set" everywhere.
"""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from softswitch.settings.acme import Acme
from softswitch.settings.agent import Agent
from softswitch.settings.api_key import ApiKey, parse_api_key
from softswitch.settings.cluster import Cluster, Server
from softswitch.settings.mail import Mail
from softswitch.settings.places import default_data_folder
from softswitch.settings.queue import Queue
from softswitch.settings.rooms import Rooms
from softswitch.settings.section import Count, Measured, Port, Positive, Seconds, Section
from softswitch.settings.speech_provider import SpeechProvider
from softswitch.settings.store import Store
from softswitch.settings.stream import Stream
from softswitch.settings.telemetry import Telemetry
from softswitch.settings.telephones import Route, Sip, Trunk, User, check_names
from softswitch.settings.upload import Upload
from softswitch.settings.voicemail import Voicemail
from softswitch.settings.wavix import Wavix
from softswitch.settings.webhook import Webhook

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")


class Http(Section, frozen=True):
    """The web server: page, REST and WebSockets."""

    host: str = "127.0.0.1"
    """Address to listen on; "0.0.0.0": all of IPv4, "::": all of both families. Any other than a loopback
    address needs [auth] api_keys or a JWT key."""
    port: Port = 8080
    """TCP port to listen on; 0 lets the system choose."""
    tls_cert: str = ""
    """File with the certificate chain (PEM). With tls_key it turns HTTP into HTTPS."""
    tls_key: str = ""
    """File with the private key (PEM)."""
    hosts: tuple[str, ...] = ()
    """Further host names under which browsers reach the switch, for example "pbx.example.org"."""
    trusted_proxies: tuple[str, ...] = ()
    """Networks of proxies whose X-Forwarded-For, -Host and -Proto are trusted, for example "127.0.0.1"."""
    proxy_protocol: bool = False
    """Whether connections from trusted_proxies begin with a header of the PROXY protocol (version 1 or 2). It
    tells the client's address in place of X-Forwarded-For. Not together with tls_cert."""
    loop: Literal["auto", "uvloop", "asyncio"] = "auto"
    """Event loop. auto: uvloop if the extra [uvloop] is installed, else asyncio."""

    def __post_init__(self) -> None:
        """Check that the TLS files are complete, and hosts and proxies well-formed."""
        if bool(self.tls_cert) != bool(self.tls_key):
            raise ValueError("tls_cert and tls_key must be set together")
        if self.proxy_protocol and not self.trusted_proxies:
            raise ValueError("proxy_protocol needs trusted_proxies")
        if self.proxy_protocol and self.tls_cert:
            raise ValueError("proxy_protocol cannot be used with tls_cert: let the proxy serve HTTPS")
        for host in self.hosts:
            if not _HOST.fullmatch(host):
                raise ValueError(f"hosts: {host!r} must be a name or address, with an optional port")
        self.proxies()

    def proxies(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        """Return the networks of `trusted_proxies`."""
        try:
            return tuple(ipaddress.ip_network(text, strict=False) for text in self.trusted_proxies)
        except ValueError as error:
            raise ValueError(f"trusted_proxies: {error}") from None


class Auth(Section, frozen=True):
    """Authentication. Without any key, every program on this machine may use the switch, and no other."""

    api_keys: tuple[str, ...] = ()
    """API keys: "key", "name:key" or "name:key:scope+scope"; scopes are call, admin, rooms,
    supervise (default: all)."""
    jwt_secret: str = ""
    """Secret of JSON web tokens signed with HS256; at least 32 bytes."""
    jwt_public_key: str = ""
    """Public key (PEM text or file name) of JSON web tokens signed with RS256, ES256 or EdDSA."""
    origins: tuple[str, ...] = ()
    """Origins of further web pages that may use the switch, for example "https://app.example.org"."""

    def __post_init__(self) -> None:
        """Check that keys are well-formed and the JWT secret is long enough."""
        names = [key.name for key in self.keys()]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"api_keys has the name {min(twice)!r} twice")
        if self.jwt_secret and len(self.jwt_secret.encode()) < 32:
            raise ValueError("jwt_secret must have at least 32 bytes")

    def keys(self) -> tuple[ApiKey, ...]:
        """Return the API keys."""
        return tuple(parse_api_key(entry, number) for number, entry in enumerate(self.api_keys, 1))

    def is_open(self) -> bool:
        """Return whether no authentication is configured."""
        return not (self.api_keys or self.jwt_secret or self.jwt_public_key)


class Rtp(Section, frozen=True):
    """Media sockets."""

    host: str = "127.0.0.1"
    """Address for the media of telephones; "::" means all addresses of both families, as does "0.0.0.0" where
    [sip] host is "::". WebRTC uses [ice] host_addresses."""
    port_min: Port = 20000
    """First UDP port for media."""
    port_max: Port = 31999
    """Last UDP port for media."""
    external_ip: str = ""
    """Public address of this host, if it is behind a NAT or in a container; or one IPv4 and one IPv6 address,
    with a comma between them."""

    def externals(self) -> tuple[str, ...]:
        """Return the addresses of `external_ip`."""
        return tuple(text.strip() for text in self.external_ip.split(",") if text.strip())

    def external(self, remote: str) -> str:
        """Return the address of `external_ip` that has the family of `remote`; "" for none."""
        return next((one for one in self.externals() if (":" in one) == (":" in remote)), "")

    def __post_init__(self) -> None:
        """Check that the port range is not empty and external_ip has at most one address of each family."""
        if self.port_min > self.port_max:
            raise ValueError(f"port_min {self.port_min} is above port_max {self.port_max}")
        versions = [ipaddress.ip_address(one).version for one in self.externals()]
        if len(set(versions)) < len(versions):
            raise ValueError(f"external_ip {self.external_ip!r} has two addresses of one family")


class IceServer(Section, frozen=True):
    """A further STUN or TURN server, passed to clients as it is written here."""

    urls: tuple[str, ...]
    """URLs: "stun:host:port", "turn:host:port?transport=udp", "turns:host:port"."""
    username: str = ""
    """User name, for a TURN server with fixed credentials."""
    credential: str = ""
    """Password, for a TURN server with fixed credentials."""


class Ice(Section, frozen=True):
    """ICE of WebRTC: passed to clients by /iceservers, and used by the switch itself."""

    host_addresses: tuple[str, ...] = ()
    """Addresses to offer as host candidates. Empty: those of the network interfaces, else loopback."""
    stun: tuple[str, ...] = ()
    """STUN servers, for example "stun:stun.example.org:3478"."""
    turn_urls: tuple[str, ...] = ()
    """TURN servers that use turn_secret, for example "turn:turn.example.org:3478?transport=udp"."""
    turn_secret: str = ""
    """static-auth-secret of coturn, from which time-limited credentials are derived."""
    turn_ttl: Positive = 3600
    """Lifetime of those credentials in seconds; each call and each ICE restart of the page gets new ones."""
    gather_s: Annotated[float, Meta(ge=0, le=10)] = 2.0
    """Longest wait of an answer for STUN and TURN servers, in seconds; clients with trickle wait for none."""
    server: tuple[IceServer, ...] = ()
    """Further servers, with fixed credentials or without credentials."""

    def __post_init__(self) -> None:
        """Check that TURN servers have a secret and host addresses are addresses."""
        if bool(self.turn_urls) != bool(self.turn_secret):
            raise ValueError("turn_urls and turn_secret must be set together")
        for address in self.host_addresses:
            ipaddress.ip_address(address)


class Egress(Section, frozen=True):
    """All outgoing HTTP and WebSocket connections: play URLs, webhooks, streams, hosted speech."""

    allow: tuple[str, ...] = ()
    """Private networks that may be reached, for example "10.0.0.0/8", "127.0.0.1"."""
    ca_file: str = ""
    """File with further trusted certificate authorities (PEM)."""
    max_bytes: Positive = 25_000_000
    """Largest response body, in bytes."""
    timeout_s: Seconds = 10.0
    """Longest time for one request with its redirects, in seconds."""

    def __post_init__(self) -> None:
        """Check that `allow` has networks only."""
        self.networks()

    def networks(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        """Return the networks of `allow`."""
        return tuple(ipaddress.ip_network(network, strict=False) for network in self.allow)


class Paths(Section, frozen=True):
    """Folders."""

    data: str = ""
    """Folder of database, recordings and dumps. Empty: var/ in a checkout, else the system's state folder."""

    def root(self) -> Path:
        """Return the data folder, which may not exist yet."""
        return Path(self.data).expanduser() if self.data else default_data_folder()


class Speech(Section, frozen=True):
    """Defaults of speech, which a call can override."""

    asr: str = "builtin"
    """Provider of speech recognition."""
    tts: str = "builtin"
    """Provider of speech synthesis."""
    vad: str = "silero"
    """Voice activity detection: silero, webrtc, energy, or the name of a plug-in."""
    voice: str = ""
    """Voice of speech synthesis. Empty: the default of the provider."""
    language: str = "en-US"
    """Language of recognition and synthesis (BCP 47)."""
    workers: Count = 2
    """Processes for built-in recognition, and as many for the built-in voice; all calls share them."""
    preload: bool = True
    """Whether to load the models at the start, so that the first call does not wait for them."""
    cache_mb: Count = 32
    """Cache of synthesized phrases, in megabytes."""
    lexicon: tuple[str, ...] = ()
    """Pronunciations for the built-in voices: "SIP = sip", or IPA between slashes: "Niamh = /niv/"."""
    provider: tuple[SpeechProvider, ...] = ()
    """Speech services that `provider` on the wire names."""

    def __post_init__(self) -> None:
        """Refuse a line of the lexicon without a pronunciation.

        Raises:
            ValueError: a line lacks its "=" or one side of it.
        """
        for line in self.lexicon:
            word, _, said = line.partition("=")
            if not word.strip() or not said.strip():
                raise ValueError(f"lexicon: {line!r} must be: word = pronunciation")

    def pronunciations(self) -> dict[str, str]:
        """Return the pronunciations by word."""
        lines = (line.partition("=") for line in self.lexicon)
        return {word.strip(): said.strip() for word, _, said in lines}


class Limits(Section, frozen=True):
    """Limits that protect the switch from clients. In numbers of calls and megabytes, 0 means no limit."""

    calls: Measured = -1
    """Most simultaneous calls. -1: 1000 per core, at most one per 4 MB of the machine's memory."""
    overload: bool = True
    """Whether to refuse new calls with 503 while media ticks, event loop or queues are late."""
    calls_per_ip: Measured = -1
    """Most simultaneous calls from one address. -1: three quarters of `calls`."""
    calls_per_key: Measured = -1
    """Most simultaneous calls of one API key or token subject. -1: three quarters of `calls`."""
    memory_mb: Measured = -1
    """Megabytes for files being played and kept events. -1: a quarter of the machine's, at most 4096."""
    memory_key_mb: Measured = -1
    """Megabytes of these for the calls of one API key or token subject. -1: a quarter of `memory_mb`."""
    memory_call_mb: Count = 64
    """Megabytes of these for one call."""
    max_duration_s: Seconds = 14400.0
    """Longest duration of a call, in seconds."""
    commands_per_second: Positive = 50
    """Most commands per second of one client."""
    message_bytes: Positive = 262144
    """Largest text message, in bytes."""
    audio_message_bytes: Positive = 2097152
    """Largest binary message on /call, in bytes."""
    socket_buffer_bytes: Positive = 1048576
    """Bytes queued for a slow client before its connection is closed."""
    audio_buffer_s: Seconds = 60.0
    """Seconds of audio that a client may send ahead of playback; more is dropped and counted."""
    events_kept: Positive = 1000
    """Events of a call kept for a client that reconnects."""
    events_kept_bytes: Positive = 1048576
    """Bytes of these events; the oldest are dropped."""
    dump_bytes: Count = 4194304
    """Largest dump of one call, in bytes."""
    speech_streams: Positive = 200
    """Most simultaneous speech recognitions."""
    supervisors_per_call: Positive = 3
    """Most calls that supervise one call at once."""
    handshake_timeout_s: Seconds = 10.0
    """Seconds in which a client must send its first command on a WebSocket."""
    body_timeout_s: Seconds = 15.0
    """Seconds in which the body of an HTTP request must arrive; then 408."""
    heartbeat_s: Seconds = 20.0
    """Seconds between pings on a WebSocket, which is closed if a pong is missing."""
    keepalive_s: Seconds = 30.0
    """Seconds after which an idle HTTP connection is closed."""
    media_timeout_start_s: Seconds = 30.0
    """Seconds without a first media packet after which a call ends."""
    media_timeout_s: Seconds = 15.0
    """Seconds without media, once media has come, after which a call ends."""
    drain_s: Seconds = 300.0
    """Seconds that running calls may last after SIGTERM."""


MIN_TONE_S = 2.0
"""Shortest interval of the beeps that announce a recording, seconds."""


class RecordingAccount(Section, frozen=True):
    """What is kept of the calls of one account."""

    name: str
    """Name of the account."""
    retention_days: Seconds = 0.0
    """Days after which its recordings, dumps and transcripts are deleted; 0 means as in [recording]."""
    transcripts: bool = False
    """Whether transcripts of its calls are kept."""


class Recording(Section, frozen=True):
    """Recordings and dumps of calls."""

    folder: str = "recordings"
    """Folder of recordings, inside [paths] data."""
    quota_mb: Count = 10000
    """Space for recordings and dumps, in megabytes; when it is full, new recordings are refused."""
    retention_days: Seconds = 30.0
    """Days after which recordings, dumps and transcripts are deleted; 0 means never."""
    transcripts: bool = False
    """Whether what speech recognition understands is kept with the records of calls, for search."""
    tone_s: Annotated[float, Meta(ge=0, le=60)] = 0.0
    """Seconds between beeps (1400 Hz, 0.2 s) that tell all parties of a recorded call that it is recorded,
    2 to 60; 15 is the custom of the United States. 0 means no beeps, unless the call asks for them."""
    account: tuple[RecordingAccount, ...] = ()
    """Accounts that keep them for a shorter time, or keep transcripts."""

    def keeps_transcripts(self, account: str) -> bool:
        """Return whether the transcripts of an account's calls are kept."""
        return next((one.transcripts for one in self.account if one.name == account), self.transcripts)

    def __post_init__(self) -> None:
        """Check that the folder is inside the data folder, and accounts."""
        if 0 < self.tone_s < MIN_TONE_S:
            raise ValueError(f"tone_s must be 0 or at least {MIN_TONE_S:g}")
        names = [one.name for one in self.account]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"account: the name {min(twice)!r} stands twice")
        if any(self.retention_days and one.retention_days > self.retention_days for one in self.account):
            raise ValueError("account: retention_days must not exceed that of [recording]")
        parts = Path(self.folder).parts
        if not parts or Path(self.folder).is_absolute() or ".." in parts:
            raise ValueError("folder must be a relative path inside [paths] data")


class Media(Section, frozen=True):
    """The audio engine."""

    prebuffer_ms: Count = 60
    """Milliseconds of a client's audio to buffer before playing it."""
    opus_bitrate: Annotated[int, Meta(ge=6000, le=128000)] = 48000
    """Bits per second of Opus that is sent, where a room or the peer asks for nothing else."""
    opus_complexity: Annotated[int, Meta(ge=0, le=10)] = 0
    """Effort of the Opus encoders, 0-10: 5 costs three times the CPU of 0, and sounds a little better."""
    hold_music: str = "default"
    """What a party hears that is on hold or waits for the target of a transfer. default: a quiet piece made
    by the switch; off: nothing; else an audio file that is repeated."""


class Log(Section, frozen=True):
    """Log on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Lowest severity to write."""
    format: Literal["auto", "json", "text"] = "auto"
    """json: one object per line. text: for reading. auto: text on a terminal, else json."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All sections. `Settings()` is a switch that only this machine can reach."""

    http: Http = Http()
    auth: Auth = Auth()
    sip: Sip = Sip()
    rtp: Rtp = Rtp()
    ice: Ice = Ice()
    egress: Egress = Egress()
    paths: Paths = Paths()
    webhook: Webhook = Webhook()
    speech: Speech = Speech()
    limits: Limits = Limits()
    recording: Recording = Recording()
    upload: Upload = Upload()
    acme: Acme = Acme()
    media: Media = Media()
    wavix: Wavix = Wavix()
    rooms: Rooms = Rooms()
    voicemail: Voicemail = Voicemail()
    mail: Mail = Mail()
    store: Store = Store()
    server: Server = Server()
    cluster: Cluster = Cluster()
    log: Log = Log()
    telemetry: Telemetry = Telemetry()
    trunk: tuple[Trunk, ...] = ()
    user: tuple[User, ...] = ()
    route: tuple[Route, ...] = ()
    stream: tuple[Stream, ...] = ()
    agent: tuple[Agent, ...] = ()
    queue: tuple[Queue, ...] = ()

    def default_trunk(self) -> Trunk | None:
        """Return the trunk for numbers without a trunk: the one marked as default, else the first."""
        marked = (trunk for trunk in self.trunk if trunk.default)
        return next(marked, self.trunk[0] if self.trunk else None)

    def check_telephones(self) -> None:
        """Check that trunks, users and routes are consistent.

        Raises:
            ValueError: They are not; the error names the table and the key.
        """
        check_names(self.trunk, self.user, self.route, self.agent, self.queue)

    def check_bind(self) -> None:
        """Check that authentication is configured if other machines can reach the switch.

        Raises:
            ValueError: The address is not a loopback address and no credential is configured.
        """
        if self.auth.is_open() and not is_loopback(self.http.host):
            raise ValueError(
                f"host {self.http.host!r} can be reached from other machines, which could use the switch "
                "without keys: set [auth] api_keys (SOFTSWITCH_AUTH_API_KEYS) or jwt_secret, or use 127.0.0.1"
            )


def listen_addresses(host: str) -> tuple[str, ...]:
    """Return the addresses to bind a TCP server to: "::" means all of both families."""
    return ("::", "0.0.0.0") if host == "::" else (host,)  # noqa: S104  (the operator asked for all)


def url_host(host: str) -> str:
    """Return a host as a URL writes it: IPv6 addresses in brackets (RFC 3986 section 3.2.2)."""
    return f"[{host}]" if ":" in host else host


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches `host`; names other than localhost count as public."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
