"""Settings of the switch, from a TOML file, environment variables and command-line flags."""

from softswitch.settings.access_key import AccessKey, HashedKey, hash_key
from softswitch.settings.api_key import ALL_SCOPES, ApiKey, Scope, parse_api_key
from softswitch.settings.cluster import Cluster
from softswitch.settings.load import load
from softswitch.settings.mail import Mail
from softswitch.settings.places import checkout_root, default_data_folder, static_root
from softswitch.settings.section import Section
from softswitch.settings.sections import (
    Auth,
    Egress,
    Http,
    Ice,
    IceServer,
    Limits,
    Log,
    Media,
    Paths,
    Recording,
    Rtp,
    Settings,
    Speech,
    is_loopback,
    listen_addresses,
    url_host,
)
from softswitch.settings.speech_provider import SpeechProvider
from softswitch.settings.stream import Stream
from softswitch.settings.telephones import Route, Server, Sip, Trunk, User, parse_server
from softswitch.settings.upload import Upload
from softswitch.settings.webhook import Webhook, WebhookAccount

__all__ = [
    "ALL_SCOPES",
    "AccessKey",
    "ApiKey",
    "Auth",
    "Cluster",
    "Egress",
    "HashedKey",
    "Http",
    "Ice",
    "IceServer",
    "Limits",
    "Log",
    "Mail",
    "Media",
    "Paths",
    "Recording",
    "Route",
    "Rtp",
    "Scope",
    "Section",
    "Server",
    "Settings",
    "Sip",
    "Speech",
    "SpeechProvider",
    "Stream",
    "Trunk",
    "Upload",
    "User",
    "Webhook",
    "WebhookAccount",
    "checkout_root",
    "default_data_folder",
    "hash_key",
    "is_loopback",
    "listen_addresses",
    "load",
    "parse_api_key",
    "parse_server",
    "static_root",
    "url_host",
]
