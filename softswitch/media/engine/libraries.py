"""Libraries that only some ports need: imported before the message that needs them reaches the tick.

An import takes a tenth of a second or more. It happens in the thread that posts the message, once, while the
ticks go on; a switch whose ports need none of these libraries saves 20 MB.
"""

import importlib
import sys

from softswitch.compiled import library
from softswitch.libraries import open_ahead
from softswitch.media import messages as m
from softswitch.media.rtp import secure

_G722 = "softswitch.audio.g722_av"
_FILTERS = "av.filter"


def load_for(message: m.Message) -> None:
    """Import what the tick needs to carry a message out."""
    match message:
        case m.FeedTrack():  # fifty a second for each stream: it needs none, and is looked at first
            pass
        case m.AddRtpPort(rtp=rtp) | m.UpdateRtp(rtp=rtp):
            for form in (*rtp.receive, rtp.send):
                if form.name == "G722":
                    _load_g722()
        case m.AddFeedPort(codec="g722"):
            _load_g722()
        case m.ConnectPlain(receive_key=key) if key:
            secure.load()
        case m.ConnectSecure():
            secure.load()
        case m.SetDenoise(on=True):
            _import(_FILTERS)
        case _:
            pass


def _load_g722() -> None:
    """Import what G.722 needs where there is no compiled code for it."""
    if library() is None:
        _import(_G722)


def _import(module: str) -> None:
    """Import a module that needs PyAV."""
    if module not in sys.modules:
        open_ahead("av")
        importlib.import_module(module)
