"""The mended classes for tests: imported without the warning about audioop that pyVoIP brings along."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import pyVoIP.VoIP
    from pyVoIP import RTP, SIP
    from pyVoIP.VoIP import CallState, VoIPCall, VoIPPhone

    from softswitch.legs.pyvoip.patches.call import Call
    from softswitch.legs.pyvoip.patches.client import Client
    from softswitch.legs.pyvoip.patches.fifos import Arriving, Leaving
    from softswitch.legs.pyvoip.patches.messages import Message
    from softswitch.legs.pyvoip.patches.phone import Phone
    from softswitch.legs.pyvoip.patches.rtp import Packet, Stream, StreamEvents

__all__ = [
    "RTP",
    "SIP",
    "Arriving",
    "Call",
    "CallState",
    "Client",
    "Leaving",
    "Message",
    "Packet",
    "Phone",
    "Stream",
    "StreamEvents",
    "VoIPCall",
    "VoIPPhone",
    "pyVoIP",
]
