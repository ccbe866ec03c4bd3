"""Settings: what an operator may change, from a TOML file, the environment and the command line."""

from softswitch.settings.api_key import ALL_SCOPES, ApiKey, Scope, parse_api_key
from softswitch.settings.load import load
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
    Webhook,
    is_loopback,
)
from softswitch.settings.telephones import Route, Server, Sip, Trunk, User, parse_server

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
    "Route",
    "Rtp",
    "Scope",
    "Section",
    "Server",
    "Settings",
    "Sip",
    "Speech",
    "Trunk",
    "User",
    "Webhook",
    "checkout_root",
    "default_data_folder",
    "is_loopback",
    "load",
    "parse_api_key",
    "parse_server",
    "static_root",
]
