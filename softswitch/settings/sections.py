"""Hold what an operator may set: one frozen struct for each section of the file.

The text under a field is its documentation: `softswitch.toml` is written from it (`make sample`).
An empty text or list means "not set" everywhere.
"""

import ipaddress
from pathlib import Path
from typing import Literal

import msgspec

from softswitch.settings.api_key import ApiKey, parse_api_key
from softswitch.settings.places import default_data_folder
from softswitch.settings.rooms import Rooms
from softswitch.settings.section import Count, Port, Positive, Seconds, Section
from softswitch.settings.store import Store
from softswitch.settings.telephones import Route, Sip, Trunk, User, check_names
from softswitch.settings.wavix import Wavix


class Http(Section, frozen=True):
    """The web server: page, REST and WebSockets."""

    host: str = "127.0.0.1"
    """Address to listen on. Any other than a loopback address needs [auth] api_keys or a JWT key."""
    port: Port = 8080
    """TCP port to listen on; 0 lets the system choose."""
    tls_cert: str = ""
    """File with the certificate chain (PEM). With tls_key it turns HTTP into HTTPS."""
    tls_key: str = ""
    """File with the private key (PEM)."""
    loop: Literal["auto", "uvloop", "asyncio"] = "auto"
    """Event loop. auto: uvloop where the extra [uvloop] is installed."""

    def __post_init__(self) -> None:
        """Refuse half a TLS configuration."""
        if bool(self.tls_cert) != bool(self.tls_key):
            raise ValueError("tls_cert and tls_key go together")


class Auth(Section, frozen=True):
    """Who may use the switch. Nothing set, on a loopback address: everybody on this machine."""

    api_keys: tuple[str, ...] = ()
    """Keys, each "key", "name:key" or "name:key:scope+scope"; scopes: call, admin, rooms (default all)."""
    jwt_secret: str = ""
    """Secret for JSON web tokens signed with HS256; at least 32 bytes."""
    jwt_public_key: str = ""
    """Public key (PEM text, or the name of a file with it) for tokens signed with RS256, ES256 or EdDSA."""
    origins: tuple[str, ...] = ()
    """Origins of web pages that may use the switch besides its own, for example "https://app.example.org"."""

    def __post_init__(self) -> None:
        """Refuse keys that cannot be read and secrets that can be guessed."""
        names = [key.name for key in self.keys()]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"api_keys has the name {min(twice)!r} twice")
        if self.jwt_secret and len(self.jwt_secret.encode()) < 32:
            raise ValueError("jwt_secret is shorter than 32 bytes")

    def keys(self) -> tuple[ApiKey, ...]:
        """Return the API keys, read."""
        return tuple(parse_api_key(entry, number) for number, entry in enumerate(self.api_keys, 1))

    def is_open(self) -> bool:
        """Tell whether nobody has to prove anything."""
        return not (self.api_keys or self.jwt_secret or self.jwt_public_key)


class Rtp(Section, frozen=True):
    """Sockets of media."""

    host: str = "127.0.0.1"
    """Address that media sockets of telephones are bound to; WebRTC uses [ice] host_addresses."""
    port_min: Port = 20000
    """First UDP port for media."""
    port_max: Port = 31999
    """Last UDP port for media."""
    external_ip: str = ""
    """Address by which the world reaches this host behind a NAT or in a container."""

    def __post_init__(self) -> None:
        """Refuse an empty range and an address that is a name."""
        if self.port_min > self.port_max:
            raise ValueError(f"port_min {self.port_min} is above port_max {self.port_max}")
        if self.external_ip:
            ipaddress.ip_address(self.external_ip)


class IceServer(Section, frozen=True):
    """One more STUN or TURN server, handed out as it stands here."""

    urls: tuple[str, ...]
    """Its URLs: "stun:host:port", "turn:host:port?transport=udp", "turns:host:port"."""
    username: str = ""
    """User name, for a TURN server with fixed credentials."""
    credential: str = ""
    """Password, for a TURN server with fixed credentials."""


class Ice(Section, frozen=True):
    """How WebRTC finds a way: handed to clients by /iceservers and used by our own connections."""

    host_addresses: tuple[str, ...] = ()
    """Own addresses offered as host candidates. Empty: those of the interfaces, else loopback."""
    stun: tuple[str, ...] = ()
    """STUN servers, for example "stun:stun.example.org:3478"."""
    turn_urls: tuple[str, ...] = ()
    """TURN servers that share turn_secret with us, for example "turn:turn.example.org:3478?transport=udp"."""
    turn_secret: str = ""
    """The static-auth-secret of coturn; time-limited credentials are made from it."""
    turn_ttl: Positive = 86400
    """Life of those credentials in seconds; longer than any call."""
    server: tuple[IceServer, ...] = ()
    """Further servers with fixed credentials or none."""

    def __post_init__(self) -> None:
        """Refuse TURN servers without a secret and addresses that are names."""
        if bool(self.turn_urls) != bool(self.turn_secret):
            raise ValueError("turn_urls and turn_secret go together")
        for address in self.host_addresses:
            ipaddress.ip_address(address)


class Egress(Section, frozen=True):
    """The one door outwards: play URLs, webhooks, streams, hosted speech."""

    allow: tuple[str, ...] = ()
    """Networks that are not public and may still be reached, for example "10.0.0.0/8", "127.0.0.1"."""
    ca_file: str = ""
    """File with further certificate authorities (PEM) to trust."""
    max_bytes: Positive = 25_000_000
    """Largest file that is fetched, in bytes."""
    timeout_s: Seconds = 10.0
    """Longest time for one fetch, in seconds."""

    def __post_init__(self) -> None:
        """Refuse what is not a network."""
        self.networks()

    def networks(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        """Return the allowed networks, read."""
        return tuple(ipaddress.ip_network(network, strict=False) for network in self.allow)


class Paths(Section, frozen=True):
    """Where things lie."""

    data: str = ""
    """Folder of the database, recordings and dumps. Empty: var/ in a checkout, else the state folder."""

    def root(self) -> Path:
        """Return the data folder; it need not exist yet."""
        return Path(self.data).expanduser() if self.data else default_data_folder()


class Webhook(Section, frozen=True):
    """Who is told of incoming calls of telephones."""

    url: str = ""
    """URL that gets a POST for each incoming call. It is trusted: private addresses are allowed."""
    format: Literal["rustpbx", "wavix"] = "rustpbx"
    """What is posted there: the announcement of /call, or each step of a call as Wavix posts it."""
    secret: str = ""
    """Signs what accounts and callbacks are told: X-Softswitch-Signature has an HMAC-SHA256. Empty: not."""
    timeout_s: Seconds = 5.0
    """Time that such a URL has to answer, in seconds."""
    tries: Positive = 3
    """How often one message is tried."""

    def __post_init__(self) -> None:
        """Refuse what is not a URL of the web."""
        if self.url and not self.url.startswith(("http://", "https://")):
            raise ValueError("url must start with http:// or https://")


class Speech(Section, frozen=True):
    """The defaults of speech; a call may choose others."""

    asr: str = "builtin"
    """Provider that understands speech."""
    tts: str = "builtin"
    """Provider that speaks."""
    vad: str = "silero"
    """What tells speech from noise: silero, webrtc, energy, or that of a plug-in."""
    voice: str = ""
    """Voice that speaks. Empty: the provider's own choice."""
    language: str = "en-US"
    """Language of both, as in BCP 47."""
    workers: Count = 2
    """Processes for built-in recognition; each takes about 40 MB and serves several calls."""
    cache_mb: Count = 32
    """Memory for phrases already spoken, in megabytes."""


class Limits(Section, frozen=True):
    """The bounds that keep one client from harming the others. 0 in a count of calls means no bound."""

    calls: Count = 0
    """Calls at once."""
    calls_per_ip: Count = 0
    """Calls at once from one address."""
    calls_per_key: Count = 0
    """Calls at once with one API key or token subject."""
    max_duration_s: Seconds = 14400.0
    """Longest call, in seconds."""
    commands_per_second: Positive = 50
    """Commands of one client in a second."""
    message_bytes: Positive = 262144
    """Largest text message, in bytes."""
    audio_message_bytes: Positive = 2097152
    """Largest binary message on /call, in bytes."""
    socket_buffer_bytes: Positive = 1048576
    """Bytes waiting for a client that reads too slowly before it is closed."""
    audio_buffer_s: Seconds = 60.0
    """Audio that a client may send ahead of time, in seconds; what is beyond is dropped and counted."""
    events_kept: Positive = 1000
    """Events of a call kept for a client that comes back."""
    dump_bytes: Count = 4194304
    """Largest dump of one call, in bytes."""
    speech_streams: Positive = 200
    """Recognitions at once."""
    handshake_timeout_s: Seconds = 10.0
    """Time for the first command after a WebSocket opened, in seconds."""
    heartbeat_s: Seconds = 20.0
    """Time between pings on a WebSocket, in seconds; a missing answer closes it."""
    keepalive_s: Seconds = 30.0
    """Time that an idle HTTP connection stays open, in seconds."""
    media_timeout_start_s: Seconds = 30.0
    """Time without a first media packet before a call is ended, in seconds."""
    media_timeout_s: Seconds = 15.0
    """Time without media later on before a call is ended, in seconds."""
    drain_s: Seconds = 300.0
    """Time that running calls get after SIGTERM, in seconds."""


class Recording(Section, frozen=True):
    """Recordings, and the dumps of calls."""

    folder: str = "recordings"
    """Folder under [paths] data."""
    quota_mb: Count = 10000
    """Space for recordings and dumps in megabytes; a new recording is refused beyond it."""
    retention_days: Seconds = 30.0
    """Days after which they are deleted; 0 keeps them."""

    def __post_init__(self) -> None:
        """Refuse a folder that leads out of the data folder."""
        parts = Path(self.folder).parts
        if not parts or Path(self.folder).is_absolute() or ".." in parts:
            raise ValueError("folder must be a name below the data folder")


class Media(Section, frozen=True):
    """The audio engine."""

    prebuffer_ms: Count = 60
    """Audio collected before a stream of a client starts to sound, in milliseconds."""


class Log(Section, frozen=True):
    """What is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severity that is written."""
    format: Literal["auto", "json", "text"] = "auto"
    """One JSON object a line, or text for people. auto: text on a terminal."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All sections. `Settings()` is a switch that works on this machine alone."""

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
    media: Media = Media()
    wavix: Wavix = Wavix()
    rooms: Rooms = Rooms()
    store: Store = Store()
    log: Log = Log()
    trunk: tuple[Trunk, ...] = ()
    user: tuple[User, ...] = ()
    route: tuple[Route, ...] = ()

    def default_trunk(self) -> Trunk | None:
        """Return the trunk for numbers that name none: the one marked, else the first."""
        marked = (trunk for trunk in self.trunk if trunk.default)
        return next(marked, self.trunk[0] if self.trunk else None)

    def check_telephones(self) -> None:
        """Refuse trunks, users and rules that do not fit together.

        Raises:
            ValueError: naming the table and the key.
        """
        check_names(self.trunk, self.user, self.route)

    def check_bind(self) -> None:
        """Refuse to listen where strangers are without asking them who they are.

        Raises:
            ValueError: if the address is not a loopback address and no credential is configured.
        """
        if self.auth.is_open() and not is_loopback(self.http.host):
            raise ValueError(
                f"host {self.http.host!r} can be reached from other machines, and anybody could use "
                "the switch: set [auth] api_keys (SOFTSWITCH_AUTH_API_KEYS) or jwt_secret, or bind 127.0.0.1"
            )


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches `host`; a name other than localhost counts as public."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
