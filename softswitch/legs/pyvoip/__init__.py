"""Legs of trunks and of the local phone on pyVoIP, an optional extra for at most 30 calls.

The library does SIP and RTP in threads; its faults with ordinary peers are mended in `patches`. Its 8-bit
audio is converted for the media engine. It is imported only when the settings ask for it.
"""

from softswitch.legs.pyvoip.account import MAX_CALLS
from softswitch.legs.pyvoip.endpoints import PyvoipEndpoints

__all__ = ["MAX_CALLS", "PyvoipEndpoints"]
