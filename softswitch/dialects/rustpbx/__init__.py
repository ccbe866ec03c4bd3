"""The dialect of ``/call``, ``/call/webrtc`` and ``/call/sip`` (source document: RustPBX API; wire-call)."""

from softswitch.dialects.rustpbx.parse import parse
from softswitch.dialects.rustpbx.render import render, render_audio

__all__ = ["parse", "render", "render_audio"]
