"""The mended classes for tests: imported without the warning about audioop that pyVoIP brings along."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import pyVoIP.VoIP
    from pyVoIP import RTP, SIP
    from pyVoIP.VoIP import CallState, VoIPCall, VoIPPhone

    from softswitch.endpoints.pyvoip.patches.call import Call
    from softswitch.endpoints.pyvoip.patches.client import Client
    from softswitch.endpoints.pyvoip.patches.fifos import Arriving, Leaving
    from softswitch.endpoints.pyvoip.patches.messages import Message
    from softswitch.endpoints.pyvoip.patches.phone import Phone
    from softswitch.endpoints.pyvoip.patches.rtp import Ears, Packet, Stream

__all__ = [
    "RTP",
    "SIP",
    "Arriving",
    "Call",
    "CallState",
    "Client",
    "Ears",
    "Leaving",
    "Message",
    "Packet",
    "Phone",
    "Stream",
    "VoIPCall",
    "VoIPPhone",
    "pyVoIP",
]
