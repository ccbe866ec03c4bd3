"""Settings: what an operator may change, from a TOML file, the environment and the command line."""

from softswitch.settings.api_key import ALL_SCOPES, ApiKey, Scope, parse_api_key
from softswitch.settings.load import load
from softswitch.settings.places import checkout_root, default_data_folder, static_root
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
    Section,
    Settings,
    Sip,
    Speech,
    Webhook,
    is_loopback,
)

__all__ = [
    "ALL_SCOPES",
    "ApiKey",
    "Auth",
    "Egress",
    "Http",
    "Ice",
    "IceServer",
    "Limits",
    "Log",
    "Media",
    "Paths",
    "Recording",
    "Rtp",
    "Scope",
    "Section",
    "Settings",
    "Sip",
    "Speech",
    "Webhook",
    "checkout_root",
    "default_data_folder",
    "is_loopback",
    "load",
    "parse_api_key",
    "static_root",
]
