"""What handlers find in the application, typed."""

from collections.abc import Callable

from aiohttp import web

from softswitch.call.needs import EndpointFactory
from softswitch.settings import Settings
from softswitch.switch.switch import Switch
from softswitch.web.readiness import Readiness
from softswitch.web.session import Lines

SETTINGS = web.AppKey("settings", Settings)
SWITCH = web.AppKey("switch", Switch)
LINES: web.AppKey[Lines] = web.AppKey("lines", dict)
WEBRTC: web.AppKey[EndpointFactory] = web.AppKey("webrtc", object)  # type: ignore[arg-type]
READINESS = web.AppKey("readiness", Readiness)
DRAIN: web.AppKey[Callable[[], None]] = web.AppKey("drain", object)  # type: ignore[arg-type]
