"""The dialect of ``/call``, ``/call/webrtc`` and ``/call/sip`` (source document: RustPBX API)."""

from softswitch.dialects.rustpbx.parse import parse
from softswitch.dialects.rustpbx.render import render, render_audio
from softswitch.dialects.rustpbx.webhook import render_announcement

__all__ = ["parse", "render", "render_announcement", "render_audio"]
